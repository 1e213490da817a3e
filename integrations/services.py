"""The one place where integrations change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from integrations import signing
from integrations.models import Integration, SigningSecret
from integrations.outcomes import Outcome
from integrations.sealing import seal, unseal
from integrations.targets import KINDS, get
from integrations.targets.base import Cleaned, Document, Event, InvalidDocument, Outgoing, Target
from integrations.targets.documents import CONTROL, encodable

OVERLAP_HOURS = 24
# Bounds of Integration's own limits: least, most, whole number.
LIMITS: dict[str, tuple[float, float, bool]] = {
    "per_second": (0.01, 10_000, False),
    "concurrency": (1, 1_000, True),
    "max_attempts": (1, 1_000, True),
    "max_age_hours": (1, 336, True),
}


@dataclass(frozen=True, slots=True)
class Saved:
    """``signing_secret`` is set when one was made: the one moment at which it can be shown."""

    integration: Integration
    changed: bool
    signing_secret: str | None = field(default=None, repr=False)


def save_integration(
    *,
    name: str,
    kind: str,
    document: Document,
    description: str = "",
    owner_email: str = "",
    limits: Mapping[str, float | None] | None = None,
    integration: Integration | None = None,
) -> Saved:
    """Create an integration, or change the one given; a secret that ``document`` leaves out stays as it is.

    Saving the same twice changes nothing. A ``signing.secret`` other than the newest live one is a rotation: the
    old one stays live for a day. ``limits`` holds any of ``per_second``, ``concurrency``, ``max_attempts`` and
    ``max_age_hours``; None in one of them means the kind's default, and ``limits=None`` leaves all as they are.
    Raises :class:`~integrations.targets.base.InvalidDocument`.
    """
    errors = _own_errors(name, kind, description, owner_email, limits or {}, integration)
    cleaned = Cleaned({}, {})
    if kind in KINDS:
        try:
            cleaned = get(kind).clean(document, _stored(integration) if integration else None)
        except InvalidDocument as error:
            errors |= error.errors
    if errors:
        raise InvalidDocument(errors)
    given = {
        "name": name,
        "kind": kind,
        "description": description,
        "owner_email": owner_email,
        "settings": cleaned.settings,
        **(limits or {}),
    }
    wanted = (
        document.get("signing", {}).get("secret") if isinstance(document.get("signing"), Mapping) else None
    )
    try:
        with transaction.atomic():
            return _save(integration, given, cleaned, wanted or None)
    except IntegrityError:
        # Two people at the same moment.
        raise InvalidDocument({"name": _TAKEN}) from None


_TAKEN = "Another integration has this name. Choose another."


def _own_errors(
    name: str,
    kind: str,
    description: str,
    owner_email: str,
    limits: Mapping[str, float | None],
    integration: Integration | None,
) -> dict[str, str]:
    errors = {}
    if not isinstance(name, str) or not 1 <= len(name) <= 64 or name != name.strip() or _unclean(name):
        errors["name"] = "Write 1 to 64 characters, without spaces at the ends or control characters."
    elif _taken(name, integration):
        errors["name"] = _TAKEN
    if kind not in KINDS:
        errors["kind"] = f"Write one of: {', '.join(KINDS)}."
    elif integration and integration.kind != kind:
        errors["kind"] = f"The kind of an integration stays ({integration.kind}); make a new one instead."
    if not isinstance(description, str) or len(description) > 512 or "\x00" in description:
        errors["description"] = "Write at most 512 characters."
    if owner_email:
        try:
            validate_email(owner_email)
        except ValidationError:
            errors["owner_email"] = "Write an e-mail address such as ann@example.com."
    for key, value in limits.items():
        if problem := _limit_error(key, value):
            errors[f"limits.{key}"] = problem
    return errors


def _taken(name: str, integration: Integration | None) -> bool:
    own = integration.pk if integration else None
    return any(pk != own for pk in Integration.objects.filter(name__iexact=name).values_list("pk", flat=True))


def _unclean(text: str) -> bool:
    return bool(CONTROL.search(text)) or not encodable(text)


def _limit_error(key: str, value: object) -> str | None:
    if key not in LIMITS:
        return f"Unknown key. Known here: {', '.join(LIMITS)}."
    least, most, whole = LIMITS[key]
    if value is None:
        return None
    number = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, number) or not least <= value <= most:
        return f"Write a {'whole ' if whole else ''}number from {least:g} to {most:g}, or leave it empty."
    return None


def _save(
    integration: Integration | None, given: dict[str, Any], cleaned: Cleaned, wanted: str | None
) -> Saved:
    if integration is None:
        integration = Integration(**given, sealed=seal(cleaned.secrets))
        integration.save()
        changed = True
    else:
        # Only what a person sets is written: the dispatcher writes the health columns of the same row meanwhile.
        fields = [key for key, value in given.items() if getattr(integration, key) != value]
        if unseal(integration.sealed) != cleaned.secrets:
            integration.sealed = seal(cleaned.secrets)
            fields.append("sealed")
        for key in fields:
            if key != "sealed":
                setattr(integration, key, given[key])
        if fields:
            integration.save(update_fields=[*fields, "updated_at"])
        changed = bool(fields)
    made, rotated = _ensure_signing(integration, cleaned, wanted)
    return Saved(integration, changed or rotated, made)


def _ensure_signing(
    integration: Integration, cleaned: Cleaned, wanted: str | None
) -> tuple[str | None, bool]:
    """The secret that was made, if any, and whether the live secrets changed."""
    newest = integration.signing_secrets.filter(_live()).first()
    if wanted is not None:
        if newest is not None and unseal(newest.sealed) == wanted:
            return None, False
        rotate_signing_secret(integration, secret=wanted)
        return None, True
    if newest is None and cleaned.settings.get("signing", {}).get("enabled"):
        return rotate_signing_secret(integration), True
    return None, False


def _live() -> Q:
    return Q(expires_at=None) | Q(expires_at__gt=timezone.now())


def rotate_signing_secret(
    integration: Integration, *, overlap_hours: float = OVERLAP_HOURS, secret: str | None = None
) -> str:
    """A new signing secret, returned once; the others stay live for ``overlap_hours`` at most.

    Raises :class:`~integrations.signing.BadSecret` if ``secret`` is none, ValueError for an overlap outside 0 to 720.
    """
    if not 0 <= overlap_hours <= 720:
        raise ValueError("The overlap must be 0 to 720 hours.")
    secret = secret or signing.new_secret()
    signing.key_of(secret)
    now = timezone.now()
    end = now + timedelta(hours=overlap_hours)
    with transaction.atomic():
        for old in integration.signing_secrets.all():
            if (
                (old.expires_at is not None and old.expires_at <= now)
                or overlap_hours == 0
                or unseal(old.sealed) == secret
            ):
                old.delete()
            elif old.expires_at is None or old.expires_at > end:
                old.expires_at = end
                old.save(update_fields=["expires_at"])
        SigningSecret.objects.create(integration=integration, sealed=seal(secret))
    return secret


def _stored(integration: Integration) -> Cleaned:
    return Cleaned(integration.settings, unseal(integration.sealed))


def target_of(integration: Integration) -> Target:
    """The integration on its way to a send: secrets unsealed. Raises :class:`~integrations.sealing.Unsealable`.

    Reads ``signing_secrets``: prefetch it where there are many.
    """
    now = timezone.now()
    live = [s for s in integration.signing_secrets.all() if s.expires_at is None or s.expires_at > now]
    return Target(
        id=integration.pk,
        name=integration.name,
        short_id=integration.short_id,
        kind=integration.kind,
        settings=integration.settings,
        secrets=unseal(integration.sealed),
        signing_secrets=tuple(unseal(secret.sealed) for secret in live),
    )


def document_of(integration: Integration) -> Document:
    """The document as a form may show it again: without secrets; a secret parameter stands as ``{"secret": True}``."""
    return dict(integration.settings)


def pause(integration: Integration, reason: str = "") -> None:
    """Keep its deliveries waiting; nothing is dropped."""
    _set_state(integration, Integration.State.PAUSED, reason)


def disable(integration: Integration, reason: str = "") -> None:
    _set_state(integration, Integration.State.DISABLED, reason)


def resume(integration: Integration, reason: str = "") -> None:
    """Active again, with a clean record: the breaker and the count of failures start anew."""
    integration.breaker_until = None
    integration.consecutive_failures = 0
    integration.failing_since = None
    integration.warned_at = None
    cleared = ["breaker_until", "consecutive_failures", "failing_since", "warned_at"]
    _set_state(integration, Integration.State.ACTIVE, reason, cleared)


def _set_state(
    integration: Integration, state: Integration.State, reason: str, also: list[str] | None = None
) -> None:
    integration.state = state
    integration.state_reason = reason[:500]
    integration.save(update_fields=["state", "state_reason", "updated_at", *(also or [])])


def delete_integration(integration: Integration) -> None:
    """With its secrets, its token and, in the apps that refer to it, what hangs on it."""
    integration.delete()


def probe(integration: Integration, event: Event) -> Outcome:
    """Test Connectivity: one attempt with the event given, whose ``id`` is the idempotency key."""
    kind, target = get(integration.kind), target_of(integration)
    rendered = kind.render(event, target)
    outgoing = Outgoing(
        str(event["id"]), rendered.body, rendered.content_type, int(timezone.now().timestamp())
    )
    return kind.probe(outgoing, target)
