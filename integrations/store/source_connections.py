"""Connected sources: saving, unsealing, access tokens, and their deletion."""

import logging
from contextlib import closing
from datetime import date, timedelta

from django.db import transaction
from django.utils import timezone

from cii_project.audit import services as audit
from integrations.auth.sealing import UnsealError, seal, unseal, unseal_or_none
from integrations.json_types import JsonObject
from integrations.models import SourceConnection
from integrations.source_data import Permission, PermissionResult, ProbeResult, SourceFault, SourceSettings
from integrations.sources import API_SOURCES, SOURCE_KINDS
from integrations.sources.shared.api_source import AccessToken, ApiSource
from integrations.sources.shared.provider_call import ProviderCall
from integrations.target_data import CleanedDocument, Document, InvalidDocument

log = logging.getLogger(__name__)

# A secret whose end is nearer is warned about.
EXPIRY_WARNING = timedelta(days=30)
# An access token is renewed this long before its end: a batch of calls uses one.
TOKEN_MARGIN = timedelta(seconds=90)
LOST = "The stored secret cannot be opened with any key of FIELD_KEYS. Enter it again."
PERIODS = (1, 24 * 7)
SHARES = (1, 100)


def api_source(connection: SourceConnection) -> ApiSource:
    """The kind of a connection that is read. Raises KeyError for one that pushes or that this version does not know."""
    return API_SOURCES[connection.kind]


def save_connection(
    *,
    slug: str,
    kind: str,
    document: Document,
    period_hours: int = 24,
    rate_share: int = 50,
    secret_expires_on: date | None = None,
    connection: SourceConnection | None = None,
) -> tuple[SourceConnection, bool]:
    """Create a connection or change ``connection``, and whether anything changed; a secret that ``document`` leaves
    out stays. Raises :class:`~integrations.target_data.InvalidDocument`."""
    errors = _errors(kind, period_hours, rate_share, connection)
    cleaned = CleanedDocument({}, {})
    if "kind" not in errors:
        try:
            cleaned = SOURCE_KINDS[kind].clean(document, _stored(connection) if connection else None)
        except InvalidDocument as error:
            errors |= error.errors
    if errors:
        raise InvalidDocument(errors)
    columns: JsonObject = {
        "settings": cleaned.settings,
        "period_hours": period_hours,
        "rate_share": rate_share,
        "secret_expires_on": secret_expires_on,
    }
    with transaction.atomic():
        if connection is None:
            made = SourceConnection.objects.create(
                source_slug=slug,
                kind=kind,
                sealed=seal(cleaned.secrets),
                next_sync_at=timezone.now() if kind in API_SOURCES else None,
                **columns,
            )
            audit.record(
                audit.Action.ADD, made, f"Connected to {SOURCE_KINDS[kind].label}.", after=_shown(made)
            )
            return made, True
        return connection, _change(connection, columns, cleaned.secrets)


def _errors(
    kind: str, period_hours: object, rate_share: object, connection: SourceConnection | None
) -> dict[str, str]:
    errors = {}
    if kind not in SOURCE_KINDS:
        errors["kind"] = f"Write one of: {', '.join(SOURCE_KINDS)}."
    elif connection and connection.kind != kind:
        errors["kind"] = f"The kind of a source stays ({connection.kind}). Add a new source instead."
    if not _is_whole(period_hours, *PERIODS):
        errors["period_hours"] = f"Write whole hours from {PERIODS[0]} to {PERIODS[1]}."
    if not _is_whole(rate_share, *SHARES):
        errors["rate_share"] = f"Write a percentage from {SHARES[0]} to {SHARES[1]}."
    return errors


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _change(connection: SourceConnection, columns: JsonObject, secrets: JsonObject) -> bool:
    before, stored = _shown(connection), unseal_or_none(connection.sealed)
    fields = [name for name, value in columns.items() if getattr(connection, name) != value]
    for name in fields:
        setattr(connection, name, columns[name])
    if stored != secrets:
        connection.sealed = seal(secrets)
        fields.append("sealed")
    if not fields:
        return False
    # After a change of address or credential, the token and the pages read so far belong to the old one.
    connection.sealed_token, connection.token_expires_at, connection.read_version = "", None, {}
    connection.save(update_fields=[*fields, "sealed_token", "token_expires_at", "read_version", "updated_at"])
    old, new = audit.changes(before, _shown(connection))
    said = ", ".join([*new, *(["secrets"] if "sealed" in fields else [])])
    audit.record(audit.Action.CHANGE, connection, f"Changed {said}.", before=old, after=new)
    return True


def _shown(connection: SourceConnection) -> dict[str, object]:
    names = ("kind", "period_hours", "rate_share", "secret_expires_on")
    return {name.replace("_", " "): getattr(connection, name) for name in names} | dict(connection.settings)


def _stored(connection: SourceConnection) -> CleanedDocument:
    secrets = unseal_or_none(connection.sealed)
    return CleanedDocument(connection.settings, secrets or {}, "" if secrets is not None else LOST)


def has_lost_source_secrets(connection: SourceConnection) -> bool:
    """Whether no key of ``FIELD_KEYS`` unseals its secrets."""
    return unseal_or_none(connection.sealed) is None


def source_settings(connection: SourceConnection) -> SourceSettings:
    """The connection with its secrets unsealed. Raises :class:`~integrations.auth.sealing.UnsealError`."""
    return SourceSettings(
        connection.pk,
        connection.source_slug,
        connection.kind,
        connection.settings,
        unseal(connection.sealed) if connection.sealed else {},
        connection.read_version,
    )


def source_call(connection: SourceConnection, *, renew: bool = False) -> tuple[ProviderCall, str]:
    """The requests of a source, authorized, and its access token ("" without one). ``renew``: fetch another token.

    Raises :class:`~integrations.source_data.SourceFault` and :class:`~integrations.auth.sealing.UnsealError`.
    """
    kind, source = api_source(connection), source_settings(connection)
    token = _stored_token(connection) if not renew else None
    if token is None and (token := kind.fetch_token(source)):
        connection.sealed_token = seal({"token": token.text, "proof_key": token.proof_key})
        connection.token_expires_at = timezone.now() + timedelta(seconds=token.lifetime)
        SourceConnection.objects.filter(pk=connection.pk).update(
            sealed_token=connection.sealed_token, token_expires_at=connection.token_expires_at
        )
        log.info("Token fetched", extra=_log_fields(connection) | {"lifetime": token.lifetime})
    call = kind.call(source, kind.auth(source, token))
    if token:
        call.hidden.append(token.text)
    return call, token.text if token else ""


def probe_connection(connection: SourceConnection) -> ProbeResult:
    """Test Connectivity: what each permission lets the source read. A credential that is refused misses the first."""
    kind = api_source(connection)
    try:
        call, token = source_call(connection, renew=True)
        with closing(call):
            found = kind.probe(source_settings(connection), call, kind.token_scopes(token) if token else None)
    except (SourceFault, UnsealError) as error:
        listing = kind.listing
        found = ProbeResult(
            [PermissionResult(listing.label, Permission.MISSING, str(error), tuple(listing.groups))]
        )
    states = {result.name: str(result.state) for result in found.permissions}
    log.info("Connectivity tested", extra=_log_fields(connection) | {"permissions": states})
    return found


def _stored_token(connection: SourceConnection) -> AccessToken | None:
    if not connection.sealed_token or connection.token_expires_at is None:
        return None
    left = connection.token_expires_at - timezone.now()
    found = unseal_or_none(connection.sealed_token) if left > TOKEN_MARGIN else None
    if not found:
        return None
    return AccessToken(str(found["token"]), int(left.total_seconds()), str(found.get("proof_key", "")))


def set_connection_state(
    connection: SourceConnection, state: SourceConnection.State, reason: str = ""
) -> None:
    """Pause a source, or let it be synced again."""
    before, connection.state = connection.state, state
    connection.state_reason = reason[:500]
    with transaction.atomic():
        connection.save(update_fields=["state", "state_reason", "updated_at"])
        text = "Paused." if state == SourceConnection.State.PAUSED else "Resumed."
        audit.record(
            audit.Action.CHANGE,
            connection,
            text,
            before={"state": before},
            after={"state": state, "reason": reason},
        )


def delete_connection(connection: SourceConnection) -> None:
    """Delete a connection with its secrets, its syncs and what they had read and not imported."""
    with transaction.atomic():
        audit.record(audit.Action.DELETE, connection, "Disconnected.", before=_shown(connection))
        connection.delete()


def secret_expiry(connection: SourceConnection, today: date) -> tuple[date, int] | None:
    """When the secret ends and in how many days, if that is near or past."""
    end = connection.secret_expires_on
    if end is None or end - today > EXPIRY_WARNING:
        return None
    return end, (end - today).days


def _log_fields(connection: SourceConnection) -> dict[str, object]:
    return {"source": connection.source_slug, "kind": connection.kind}
