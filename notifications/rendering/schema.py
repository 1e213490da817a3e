"""The published contract: one JSON Schema (2020-12) per detail-type, in the folder ``schemas``."""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parent / "schemas"
FILES = {
    "FAILED_CHECK": "failed_check.json",
    "CHECK_RESOLVED": "check_resolved.json",
    "DIRECT_MESSAGE": "direct_message.json",
    "WebhookTest": "webhook_test.json",
}


@cache
def load(detail_type: str) -> dict[str, object]:
    """The schema of a detail-type. Raises ``KeyError`` with the known ones for another."""
    if detail_type not in FILES:
        raise KeyError(f"no schema for {detail_type}: choose one of {', '.join(FILES)}")
    schema: dict[str, object] = json.loads((FOLDER / FILES[detail_type]).read_text(encoding="utf-8"))
    return schema


@cache
def validator(detail_type: str) -> "Draft202012Validator":
    """``validator("FAILED_CHECK").validate(envelope)``; formats count as patterns, so none is skipped."""
    # Imported late: no page and no task validates, and the import takes 25 ms of the start of each process.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(load(detail_type))


def all() -> dict[str, dict[str, object]]:
    """detail-type → schema."""
    return {detail_type: load(detail_type) for detail_type in FILES}
