"""The formatter of log lines: text for people or JSON for machines, with the ids of the context and without secrets.

Modules log through the standard library: ``log.info("text", extra={"target": name})``. Ids that belong to each line
of a block are bound with ``structlog.contextvars.bound_contextvars(run_id=…)``.
"""

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite

import structlog
from structlog.processors import JSONRenderer, LogfmtRenderer
from structlog.typing import EventDict, WrappedLogger

from integrations.masking import mask, settings_secrets

_logfmt = LogfmtRenderer(bool_as_flag=False)
_json = JSONRenderer()
# Line breaks of every kind, and what a terminal would obey.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Django adds the request, whose text holds the query string; another handler leaves its own texts in the record.
_DROPPED = ("request", "message", "asctime")


def formatter(kind: str) -> logging.Formatter:
    """Return the formatter for LOG_FORMAT ``kind``, ``text`` or ``json``. Each record becomes one line of either.

    A text line ends with ``key=value`` fields; a traceback follows on further lines. In JSON it is the field
    ``exception``.
    """
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _add_time,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.StackInfoRenderer(),
            _mask,
            _as_text if kind == "text" else _json,
        ],
    )


def _add_time(logger: WrappedLogger, name: str, fields: EventDict) -> EventDict:
    """Add the time at which the record was made, which is not the time at which it is formatted."""
    made = datetime.fromtimestamp(fields["_record"].created, UTC)
    fields["timestamp"] = made.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return fields


def _mask(logger: WrappedLogger, name: str, fields: EventDict) -> EventDict:
    """Mask secrets in each value, before it is escaped, so that a mask cannot cut an escape of JSON in two."""
    secrets = settings_secrets()
    return {key: _plain(value, secrets) for key, value in fields.items() if key not in _DROPPED}


def _plain(value: object, secrets: frozenset[str]) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {mask(str(key), secrets): _plain(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, secrets) for item in value]
    return mask(str(value), secrets)


def _as_text(logger: WrappedLogger, name: str, fields: EventDict) -> str:
    head = [fields.pop("timestamp"), fields.pop("level").upper(), fields.pop("logger"), fields.pop("event")]
    blocks = [fields.pop(key) for key in ("exception", "stack") if key in fields]
    # "=" and spaces in a key would read as another field.
    named = {re.sub(r"[^\w.-]", "_", key): value for key, value in fields.items()}
    line = " ".join([*head, *([_logfmt(logger, name, named)] if named else [])])
    # A name or an address from outside must not look like a separate line.
    return "\n".join([_CONTROL.sub(_escaped, line), *blocks])


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
