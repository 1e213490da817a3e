"""The values of an integration for the audit trail and the log, without secrets."""

from collections.abc import Mapping

from cii_project.audit import services as audit
from integrations.auth import sealed_urls
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.models import Integration
from integrations.store.limits import LIMITS


def audit_values(integration: Integration) -> JsonObject:
    """Its settings by name. Of a URL only the host, since the rest may be a secret."""
    names = ("name", "kind", "description", "owner_email", *LIMITS)
    values = {name: getattr(integration, name) for name in names}
    return {
        name.replace("_", " "): _without_paths(value)
        for name, value in {**values, **integration.settings}.items()
    }


def log_fields(integration: Integration) -> dict[str, object]:
    """The fields of each log line about the integration."""
    return {"integration_id": integration.pk, "target": integration.name}


def record_change(integration: Integration, values_before: JsonMapping, secrets: list[str]) -> None:
    """Record what changed; ``secrets`` names what changed among the secrets."""
    before, after = audit.changes(values_before, audit_values(integration))
    # A change of the path alone is visible in none of these values.
    text = f"Changed {', '.join([*after, *secrets]) or 'url'}."
    audit.record(audit.Action.CHANGE, integration, text, before=before, after=after)


def changed_secrets(before: JsonMapping, after: JsonMapping) -> list[str]:
    """The changes of secrets, in words: a URL whose path changed shows the same host before and after."""
    urls, new_urls = (secrets.get(sealed_urls.KEY, {}) for secrets in (before, after))
    found = [f"path of {path}" for path in {**urls, **new_urls} if urls.get(path) != new_urls.get(path)]
    others = [
        key for key in {**before, **after} if key != sealed_urls.KEY and before.get(key) != after.get(key)
    ]
    return [*found, *(["secrets"] if others else [])]


def _without_paths(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    if isinstance(value, str) and "://" in value:
        return sealed_urls.masked_url(value)
    return value
