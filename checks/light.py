"""Rows as model instances without ``Model.__init__``, which costs several times what reading the row does.

For reading many thousands. Fields that were not read are deferred, as after ``only()``: each then takes a query.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.base import ModelState

Some = TypeVar("Some", bound=models.Model)


def instance(model: type[Some], names: Sequence[str], values: Iterable[Any]) -> Some:
    """The saved row whose fields ``names`` (as ``values_list`` takes them, foreign keys as ``…_id``) hold ``values``."""
    made = model.__new__(model)
    state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    made.__dict__.update(zip(names, values, strict=True), _state=state)
    return made


def relate(one: models.Model, name: str, other: models.Model | None) -> None:
    """``one.name`` is ``other``, without the checks of an assignment."""
    one._state.fields_cache[name] = other
