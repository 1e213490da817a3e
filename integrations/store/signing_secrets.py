"""Signing secrets of a target: the live ones, and their rotation."""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from cii_project.audit import services as audit
from integrations.auth import signing
from integrations.auth.sealing import seal, unseal_or_none
from integrations.models import Integration, SigningSecret
from integrations.store.audit_values import log_fields

log = logging.getLogger(__name__)

OVERLAP_HOURS = 24
MAX_OVERLAP_HOURS = 720


def live_signing_secrets(integration: Integration) -> list[SigningSecret]:
    """Its signing secrets that have not expired, newest first."""
    now = timezone.now()
    return [s for s in integration.signing_secrets.all() if s.expires_at is None or s.expires_at > now]


def has_lost_signing_secret(integration: Integration) -> bool:
    """Whether no key unseals one of its live signing secrets."""
    return any(_text_of(secret) is None for secret in live_signing_secrets(integration))


def rotate_signing_secret(
    integration: Integration, *, overlap_hours: float = OVERLAP_HOURS, secret: str | None = None
) -> str:
    """Store a new signing secret and return its text, once; the others expire within ``overlap_hours``.

    A secret that no key unseals signs nothing, and is deleted. Raises
    :class:`~integrations.auth.signing.SigningSecretError` if ``secret`` is malformed or guessable, ValueError for an
    overlap outside 0 to 720.
    """
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise ValueError(f"The overlap is {overlap_hours:g} hours. Use 0 to {MAX_OVERLAP_HOURS}.")
    secret = secret or signing.new_signing_secret()
    signing.check_signing_secret(secret)
    with transaction.atomic():
        _expire(integration, overlap_hours, secret)
        SigningSecret.objects.create(integration=integration, sealed=seal(secret))
        text = f"New signing secret; earlier ones stay valid for {overlap_hours:g} hours at most."
        audit.record(audit.Action.CHANGE, integration, text)
    log.info("Signing secret rotated", extra=log_fields(integration) | {"overlap_hours": overlap_hours})
    return secret


def _expire(integration: Integration, overlap_hours: float, secret: str) -> None:
    """Let the stored secrets expire; delete those that are expired, lost or the same as ``secret``."""
    now = timezone.now()
    end = now + timedelta(hours=overlap_hours)
    for old in integration.signing_secrets.all():
        is_expired = old.expires_at is not None and old.expires_at <= now
        if is_expired or overlap_hours == 0 or _text_of(old) in (None, secret):
            old.delete()
        elif old.expires_at is None or old.expires_at > end:
            old.expires_at = end
            old.save(update_fields=["expires_at"])


def ensure_signing_secret(
    integration: Integration, *, is_signing: bool, entered: str | None
) -> tuple[str | None, bool]:
    """The text of the secret that was generated, if any, and whether the live secrets changed.

    ``entered`` other than the newest live secret is a rotation. Without any live secret, one is generated if the
    target signs. Lost secrets are deleted.
    """
    for secret in integration.signing_secrets.all():
        if _text_of(secret) is None:
            log.warning("Signing secret deleted: no key unseals it", extra=log_fields(integration))
            secret.delete()
    newest = next(iter(live_signing_secrets(integration)), None)
    current = _text_of(newest) if newest else None
    if entered is not None:
        if current == entered:
            return None, False
        rotate_signing_secret(integration, secret=entered)
        return None, True
    if current is None and is_signing:
        return rotate_signing_secret(integration), True
    return None, False


def _text_of(secret: SigningSecret) -> str | None:
    text = unseal_or_none(secret.sealed)
    return None if text is None else str(text)
