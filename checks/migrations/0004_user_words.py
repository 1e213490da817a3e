"""The index of words in names, on PostgreSQL. SQLite's is made after each migration (checks/word_search.py)."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def add(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(
            "CREATE INDEX user_words ON checks_user USING gin "
            "(to_tsvector('simple', regexp_replace(lower(name || ' ' || display_name || ' ' || login || ' ' || "
            r"employee_id), '[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u007E]+', ' ', 'g')))"
        )


def remove(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute("DROP INDEX user_words")


class Migration(migrations.Migration):
    dependencies = [("checks", "0003_source_lost_fields")]

    operations = [migrations.RunPython(add, remove)]
