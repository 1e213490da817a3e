"""Expressions that have an index, and the orders that it serves."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q, Value
from django.db.models.expressions import OrderBy
from django.db.models.functions import Upper
from django.db.models.sql.compiler import SQLCompiler

LAST = "\U0010ffff"  # no text that starts with a prefix sorts after the prefix and this


class Folded(Upper):
    """A text in upper case, sorted by code points as Python does. An index over it serves “starts with” in
    any case, and the order. SQLite sorts that way by default, and folds ASCII only."""

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> object:
        return self.as_sql(compiler, connection, template='(UPPER(%(expressions)s) COLLATE "C")', **context)


def starts_with(key: str, text: str) -> Q:
    """The condition that ``key``, a column or an alias that is :class:`Folded`, starts with ``text``."""
    return Q(**{f"{key}__gte": Folded(Value(text)), f"{key}__lt": Folded(Value(text + LAST))})


class PatternOrder(OrderBy):
    """The order of an index of PostgreSQL's ``varchar_pattern_ops`` (its manual, “Operator Classes and Operator
    Families”): without it a LIMIT may make a scan of the whole table look cheap. Elsewhere the plain order."""

    def __init__(self, name: str) -> None:
        super().__init__(F(name))

    def as_postgresql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: object
    ) -> object:
        # Django's compiler of an ORDER BY looks for the word.
        return self.as_sql(compiler, connection, template="%(expression)s USING ~<~ /* ASC */")
