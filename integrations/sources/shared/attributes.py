"""Attributes of a provider's profile that a member maps to fields of the record."""

from collections.abc import Mapping

from integrations.json_types import JsonMapping, JsonObject
from integrations.targets.shared.setting_fields import Field

# Every field of the profile and the password. The others are read by passes of their own, which would replace the value.
MAPPABLE = (
    *(
        "employee_id",
        "department",
        "title",
        "company",
        "manager",
        "owner",
        "user_type",
        "phone",
        "locale",
        "email",
    ),
    *(
        "display_name",
        "first_name",
        "last_name",
        "source_anchor",
        "status",
        "created_at",
        "status_changed_at",
    ),
    *("password_changed_at", "password_never_expires"),
)
ATTRIBUTES_FIELD = Field(
    path="attributes",
    label="Custom attributes",
    help=f"One a line, field=attribute, such as employee_id=employeeId. Fields: {', '.join(MAPPABLE)}.",
    widget="lines",
    required=False,
    most=200,
    pattern=rf"({'|'.join(MAPPABLE)})=[A-Za-z0-9_.\-]{{1,100}}",
    hint="Write field=attribute, such as employee_id=employeeId.",
)


def mapped_attributes(settings: JsonMapping) -> dict[str, str]:
    """Field of the record → attribute of the profile."""
    pairs = (str(line).partition("=") for line in settings.get("attributes") or ())
    return {field: attribute for field, _, attribute in pairs}


def attribute_text(user: JsonMapping, place: str) -> str | None:
    """The text at a dotted place, such as ``customSchemas.Work.badge``; the values of a list joined; None for none."""
    found: object = user
    for part in place.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, list):
        values = [each.get("value") if isinstance(each, Mapping) else each for each in found]
        found = ", ".join(str(each) for each in values if each is not None)
    return None if found is None or isinstance(found, Mapping) else str(found)


def with_mapped(record: JsonObject, user: JsonMapping, attributes: Mapping[str, str]) -> JsonObject:
    """The record, where what the member mapped stands in place of what the provider says; what ``user`` lacks is unknown.

    ``attributes``: field → dotted place of its value in ``user``.
    """
    kept = {field: value for field, value in record.items() if field not in attributes}
    return kept | {
        field: attribute_text(user, place)
        for field, place in attributes.items()
        if place.partition(".")[0] in user
    }
