"""An event as JSON: compact, UTF-8, with the parts of it that are encoded already."""

import orjson


def encode_event(value: object) -> bytes:
    """JSON of plain values; bytes among them are JSON already and are written unchanged."""
    return orjson.dumps(value, default=orjson.Fragment)
