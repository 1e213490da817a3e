"""Indexes that Django cannot write down by itself."""

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement


class PrefixIndex(models.Index):
    """Of one expression, for “begins with”: ``PrefixIndex(Upper("name"), name="…")`` serves ``name__istartswith``.

    PostgreSQL answers a LIKE from an index only in the C collation or with this operator class
    (its manual, “Operator Classes and Operator Families”); other databases take a plain index.
    """

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Statement:
        statement: Statement = super().create_sql(model, schema_editor, using, **kwargs)
        if schema_editor.connection.vendor == "postgresql":
            statement.template = statement.template.replace("%(columns)s", "%(columns)s text_pattern_ops")
        return statement
