"""The bearer tokens with which a source pushes: the live ones, their rotation, and the check of a request's token."""

import hmac
import logging
import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from django.db import transaction
from django.utils import timezone

from cii_project.audit import services as audit
from integrations.models import PushToken, SourceConnection
from integrations.sources import SOURCE_KINDS
from integrations.sources.shared.connection_kind import PushSource
from integrations.store.signing_secrets import MAX_OVERLAP_HOURS, OVERLAP_HOURS
from integrations.target_data import InvalidDocument

log = logging.getLogger(__name__)

PREFIX = "scim_"
SHORTEST, LONGEST = 32, 512
# What an unknown source's token is compared with.
_NO_DIGEST = "0" * 64
# The time of the last use is written at most this often: each time writes a row.
USE_PRECISION = timedelta(minutes=1)


def is_push_kind(kind: str) -> bool:
    """Whether sources of this kind push."""
    return isinstance(SOURCE_KINDS.get(kind), PushSource)


def live_push_tokens(connection: SourceConnection) -> list[PushToken]:
    """The tokens that are accepted, newest first."""
    now = timezone.now()
    return [one for one in connection.push_tokens.all() if one.expires_at is None or one.expires_at > now]


def rotate_push_token(
    connection: SourceConnection, *, overlap_hours: float = OVERLAP_HOURS, given: str | None = None
) -> str:
    """Store the digest of a new token and return its text, once. The newest earlier one stays valid for
    ``overlap_hours`` at most, all others end.

    ``given``: a token of your own, of 32 to 512 printable characters; one that is live already changes nothing. Raises
    :class:`~integrations.target_data.InvalidDocument` for another one, ValueError for an overlap outside 0 to 720.
    """
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise ValueError(f"The overlap is {overlap_hours:g} hours. Use 0 to {MAX_OVERLAP_HOURS}.")
    if given is not None:
        _check(given)
    text = given or PREFIX + secrets.token_urlsafe(32)
    digest = _digest(text)
    live = live_push_tokens(connection)
    if live and live[0].digest == digest:
        return text
    now = timezone.now()
    end = now + timedelta(hours=overlap_hours)
    with transaction.atomic():
        kept = [one for one in live if one.digest != digest][:1] if overlap_hours else []
        connection.push_tokens.exclude(pk__in=[one.pk for one in kept]).delete()
        for one in kept:
            one.expires_at = min(one.expires_at or end, end)
            one.save(update_fields=["expires_at"])
        PushToken.objects.create(connection=connection, digest=digest)
        said = f"New push token; the one before stays valid for {overlap_hours:g} hours at most."
        audit.record(audit.Action.CHANGE, connection, said if live else "Push token made.")
    log.info("Push token made", extra={"source": connection.source_slug, "overlap_hours": overlap_hours})
    return text


def _check(text: str) -> None:
    if not SHORTEST <= len(text) <= LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidDocument(
            {"token": f"Write {SHORTEST} to {LONGEST} printable ASCII characters without spaces."}
        )


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def connection_of_token(slug: str, text: str) -> SourceConnection | None:
    """The pushing source of that slug, if ``text`` is one of its live tokens. Every token is compared in constant time."""
    given, now = _digest(text), timezone.now()
    tokens = list(PushToken.objects.filter(connection__source_slug=slug[:64]).select_related("connection"))
    found = None
    for one in tokens:
        is_equal = hmac.compare_digest(one.digest, given)
        if is_equal and (one.expires_at is None or one.expires_at > now):
            found = one
    if not tokens:
        hmac.compare_digest(_NO_DIGEST, given)
    if found is None or not is_push_kind(found.connection.kind):
        return None
    _note_use(found, now)
    return found.connection


def _note_use(token: PushToken, now: datetime) -> None:
    if token.last_used_at is None or now - token.last_used_at >= USE_PRECISION:
        PushToken.objects.filter(pk=token.pk).update(last_used_at=now)
