"""Everything a person does is on record, in Django's own log (the admin's history shows it)."""

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db.models import Model
from django.http import HttpRequest

__all__ = ["ADDITION", "CHANGE", "DELETION", "record"]


def record(request: HttpRequest, thing: Model, message: str, action: int = CHANGE) -> None:
    """``message`` says what was done, naming fields of secrets but never a value.

    Write a deletion's record before the deletion: afterwards ``thing`` has no key.
    """
    LogEntry.objects.log_actions(
        user_id=request.user.pk or 0,
        queryset=[thing],
        action_flag=action,
        change_message=message,
        single_object=True,
    )
