"""Pages by key, not by offset: any page of a long list costs as much as the first."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field, Model, Q, QuerySet, TextField

from integrations.services import load_json

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[M]):
    """Some rows of a queryset and where its neighbours start; cursors are opaque texts for a URL.

    ``order`` names columns, or texts that the queryset annotates, that are never NULL and together unique
    (so end it with ``id`` or ``-id``); all point the same way. An index over them serves each page.
    ``cursor`` is the ``page`` parameter of the URL; one that makes no sense is the first page.

    A list may have several parts, querysets of one model that may overlap: each is read by its own index, and
    their rows are merged here. So Python must sort the columns of ``order`` as the database does.
    """

    rows: list[M]
    next: str = ""
    previous: str = ""

    @classmethod
    def of(
        cls, *parts: QuerySet[M], order: Sequence[str], cursor: str | None, size: int = 50
    ) -> "KeysetPage[M]":
        names = [name.lstrip("-") for name in order]
        descending = order[0].startswith("-")
        if any(name.startswith("-") != descending for name in order):
            raise ValueError("The columns of a keyset must all point the same way.")
        fields = [_field(parts[0], name) for name in names]
        place = _decode(cursor, fields)
        backwards = bool(place and place[0])

        less = descending != backwards
        rows: list[M] = []
        for part in parts:
            ordered = part.order_by(*(f"{'-' if less else ''}{name}" for name in names))
            rows += (ordered.filter(_beyond(names, place[1], less=less)) if place else ordered)[: size + 1]
        if len(parts) > 1:
            once = {row.pk: row for row in rows}.values()
            rows = sorted(once, key=lambda row: [_value(row, name) for name in names], reverse=less)
        more = len(rows) > size
        rows = rows[:size]
        if backwards:
            rows.reverse()

        has_next = bool(rows) and (backwards or more)
        has_previous = bool(rows) and (more if backwards else place is not None)
        return cls(
            rows,
            next=_encode(False, rows[-1], names, fields) if has_next else "",
            previous=_encode(True, rows[0], names, fields) if has_previous else "",
        )


@dataclass(frozen=True, slots=True)
class OffsetPage:
    """Some rows of a list that was counted and is short: pages by number, in any order.

    ``cursor``: the number of the page, from 1; one that makes no sense is the first page.
    """

    rows: list[Any]
    next: str = ""
    previous: str = ""

    @classmethod
    def of(
        cls, ordered: "QuerySet[Model] | Sequence[object]", *, total: int, cursor: str, size: int
    ) -> "OffsetPage":
        last = max(-(-total // size), 1)
        number = int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 9 else 1
        number = number if 1 <= number <= last else 1
        return cls(
            list(ordered[(number - 1) * size : number * size]),
            next=str(number + 1) if number < last else "",
            previous=str(number - 1) if number > 1 else "",
        )


def _beyond(names: Sequence[str], values: Sequence[object], *, less: bool) -> Q:
    """(a, b, …) > (x, y, …) spelled out; the bound on the first column is what an index seeks by."""
    operator = "lt" if less else "gt"
    alternatives = Q()
    for place, name in enumerate(names):
        equal = dict(zip(names[:place], values[:place], strict=True))
        alternatives |= Q(**equal, **{f"{name}__{operator}": values[place]})
    return Q(**{f"{names[0]}__{operator}e": values[0]}) & alternatives


def _field(queryset: QuerySet[Model], path: str) -> "Field[object, object]":
    if path in queryset.query.annotations:
        return TextField()
    field: Any = None
    current: Any = queryset.model
    for name in path.split("__"):
        field = current._meta.pk if name == "pk" else current._meta.get_field(name)
        current = field.related_model
    if not isinstance(field, Field):
        raise FieldDoesNotExist(path)
    return field


def _value(row: object, path: str) -> object:
    for name in path.split("__"):
        row = getattr(row, name)
    return row


def _encode(
    backwards: bool, row: Model, names: Sequence[str], fields: Sequence["Field[object, object]"]
) -> str:
    values = [field.get_prep_value(_value(row, name)) for name, field in zip(names, fields, strict=True)]
    text = json.dumps([backwards, *(str(value) for value in values)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(
    cursor: str | None, fields: Sequence["Field[object, object]"]
) -> tuple[bool, list[object]] | None:
    if not cursor:
        return None
    try:
        decoded = load_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        json.dumps(decoded, ensure_ascii=False).encode()  # a lone surrogate is a ValueError here
        backwards, *texts = decoded
        if not all(isinstance(text, str) and "\0" not in text for text in texts):
            return None
        return bool(backwards), [field.to_python(t) for field, t in zip(fields, texts, strict=True)]
    except (ValueError, TypeError, OverflowError, binascii.Error, ValidationError):
        return None
