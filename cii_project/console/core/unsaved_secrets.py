"""Secrets that were sent with a form and not saved because another field was wrong.

They are kept in the session, sealed, so that nobody has to enter them again, and are never sent to the browser. A hidden
field of the form names the entry, so that two tabs do not mix theirs. Saving the form removes it.
"""

import secrets
import time
from collections.abc import Mapping

from django import forms
from django.http import HttpRequest, QueryDict

from integrations.services import UnsealError, seal, unseal

FIELD = "unsaved"
SESSION_KEY = "unsaved_secrets"
LIFETIME = 3600  # seconds
MAX_ENTRIES = 5  # of one session; the oldest go first
KEPT = "Kept from your last attempt. Leave empty to use it."


def field() -> forms.CharField:
    """The hidden field that names the entry."""
    return forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)


def restore(request: HttpRequest, inputs: Mapping[str, str]) -> QueryDict:
    """The posted data, each empty secret filled from the entry that the form names. ``inputs``: a key that stays the same
    from one attempt to the next → the name of the input in this one."""
    data = request.POST
    kept = _values(request, data.get(FIELD, ""))
    if not kept:
        return data
    filled = data.copy()
    for key, name in inputs.items():
        if not filled.get(name) and key in kept:
            filled[name] = kept[key]
    return filled


def keep(request: HttpRequest, form: forms.Form, inputs: Mapping[str, str]) -> set[str]:
    """Keep the secrets of a form with errors for its next attempt, and blank them in the form.

    A secret that is itself wrong is not kept. Returns the keys of ``inputs`` that were kept.
    """
    data = QueryDict(mutable=True)
    data.update(form.data)
    values = {key: data[name] for key, name in inputs.items() if data.get(name) and name not in form.errors}
    for name in inputs.values():
        if name in data:
            data[name] = ""
    discard(request, data.get(FIELD, ""))
    data[FIELD] = secrets.token_urlsafe(16) if values else ""
    if values:
        entries = dict(request.session.get(SESSION_KEY, {}))
        entries[data[FIELD]] = {"at": time.time(), "sealed": seal(values)}
        newest = sorted(entries, key=lambda token: entries[token]["at"])[-MAX_ENTRIES:]
        request.session[SESSION_KEY] = {token: entries[token] for token in newest}
    form.data = data
    for key in values:
        if inputs[key] in form.fields:
            form[inputs[key]].help_text = KEPT
    return set(values)


def discard(request: HttpRequest, token: str) -> None:
    """Remove the entry of a form that was saved."""
    entries = dict(request.session.get(SESSION_KEY, {}))
    if entries.pop(token, None):
        request.session[SESSION_KEY] = entries


def _values(request: HttpRequest, token: str) -> dict[str, str]:
    entry = request.session.get(SESSION_KEY, {}).get(token)
    if not entry or time.time() - entry["at"] > LIFETIME:
        return {}
    try:
        found: dict[str, str] = unseal(entry["sealed"])
    except UnsealError:
        # FIELD_KEYS changed since: the person enters them again.
        return {}
    return found
