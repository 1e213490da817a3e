"""Optimistic locking of forms: the second of two tabs cannot silently restore the old values.

A hidden field holds a fingerprint of each stored value that the form was rendered from. Where a stored value
differs when the form comes back, its field says what it is now and who changed it; saving again then
overwrites it.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django import forms
from django.db.models import Model
from django.http import QueryDict
from django.utils import timezone

from cii_project.audit.models import AuditEntry
from cii_project.console.core.viewer_zone import recent_time
from integrations.services import load_json

FIELD = "version"
LONGEST_SHOWN = 200


class VersionedForm(forms.Form):
    """A form over stored values. A subclass calls :meth:`lock` at the end of its constructor.

    A request without the hidden field is not checked: it does not come from a page that was rendered before.
    """

    version = forms.CharField(required=False, max_length=20_000, widget=forms.HiddenInput)
    _stored: Mapping[str, object] = {}
    _thing: Model | None = None

    def lock(self, stored: Mapping[str, object], thing: Model | None) -> None:
        """``stored``: field → the value that is stored now, never a secret. ``thing``: the record, for who changed it."""
        self._stored, self._thing = stored, thing
        self.initial[FIELD] = fingerprints(stored)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if FIELD in self.data:
            changed = changed_since(str(self.data[FIELD]), self._stored)
            if changed:
                self._refuse(changed)
        return given

    def _refuse(self, changed: list[str]) -> None:
        self.add_error(None, f"{last_change(self._thing)} Save again to use your values instead.")
        for name in changed:
            if name in self.fields:
                self.add_error(name, f"Now stored: {shown_value(self._stored.get(name))}")
        # The next attempt is made with the other's values in view.
        data = QueryDict(mutable=True)
        data.update(self.data)
        data[FIELD] = fingerprints(self._stored)
        self.data = data


def fingerprints(stored: Mapping[str, object]) -> str:
    """JSON: field → the start of the hash of its value."""
    return json.dumps({name: _fingerprint(value) for name, value in sorted(stored.items())})


def changed_since(version: str, stored: Mapping[str, object]) -> list[str]:
    """The fields whose stored value is not that of ``version``; none for a version that cannot be read."""
    try:
        drawn = load_json(version)
    except ValueError:
        return []
    if not isinstance(drawn, dict):
        return []
    return [name for name, value in stored.items() if drawn.get(name) != _fingerprint(value)]


def last_change(thing: Model | None, about: str = "") -> str:
    """A sentence about who changed the record last. ``about``: the start of the text in the audit trail, for
    one of several things that are recorded with it."""
    entry = None
    if thing is not None and thing.pk is not None:
        entry = AuditEntry.objects.filter(
            object_kind=thing._meta.label_lower, object_id=str(thing.pk), text__startswith=about
        ).first()
    if entry is None:
        who = "Somebody"
    else:
        who = f"{entry.actor or entry.actor_kind} ({recent_time(entry.at, timezone.now())})"
    return f"{who} changed this while you were editing."


def shown_value(value: object) -> str:
    """A stored value in words."""
    if value is None or value in ("", [], ()):
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def _fingerprint(value: object) -> str:
    text = json.dumps(value, default=_plain, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
