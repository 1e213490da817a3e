"""Whether a body is an event of the published contract."""

from notifications.services import SCHEMA_FILES, schema_validator


def contract_problems(event: object) -> list[str]:
    """The violations of the schema of the event's detail-type, each with its place; empty if it is valid."""
    kind = event.get("detail-type") if isinstance(event, dict) else None
    if kind not in SCHEMA_FILES:
        return [f"detail-type must be one of {', '.join(SCHEMA_FILES)}."]
    errors = schema_validator(kind).iter_errors(event)
    return [
        f"{'.'.join(str(part) for part in error.absolute_path) or 'event'}: {error.message}"
        for error in errors
    ]
