"""On record what a person did; what the machine did on its own stands in the runs and deliveries."""

from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models

__all__ = ["ADDITION", "CHANGE", "DELETION", "note"]


def note(by: Any, thing: models.Model, message: str, flag: int = CHANGE) -> None:
    """``by``: the person, or None (a command, a schedule): then nothing is noted."""
    if by is None:
        return
    LogEntry.objects.create(
        user_id=by.pk,
        content_type_id=ContentType.objects.get_for_model(thing).pk,
        object_id=str(thing.pk) if thing.pk is not None else None,
        object_repr=str(thing)[:200],
        action_flag=flag,
        change_message=message,
    )
