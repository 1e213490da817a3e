"""Whether a body is an event of the published contract."""

from typing import Any

from notifications import schema


def contract_problems(event: Any) -> list[str]:
    """What the schema of the event's detail-type refuses, each with its place; empty when it is valid."""
    kind = event.get("detail-type") if isinstance(event, dict) else None
    if kind not in schema.FILES:
        return [f"detail-type must be one of {', '.join(schema.FILES)}."]
    errors = schema.validator(kind).iter_errors(event)
    return [
        f"{'.'.join(str(part) for part in error.absolute_path) or 'event'}: {error.message}"
        for error in errors
    ]
