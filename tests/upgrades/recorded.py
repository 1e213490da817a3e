"""Released versions as recorded in this folder: their migration files and the rows of a database of each.

``vX.Y.Z/migrations.json`` holds the last migration of each app, the checksum of each migration file of ours, the
keys of the rows' secrets and what a run on the database counted. ``vX.Y.Z/rows.json`` holds the rows.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils.encoding import is_protected_type

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
# Made by Django itself after migrating, or of no use in another database.
EXCLUDED = {"admin", "contenttypes", "sessions", "auth.Permission", "django_q.OrmQ", "django_q.Task"}


def versions() -> list[str]:
    return sorted(path.name.removeprefix("v") for path in FOLDER.glob("v*/"))


def read(version: str, name: str) -> Any:
    """The content of ``migrations.json`` or ``rows.json`` of a released version."""
    return json.loads((FOLDER / f"v{version}" / name).read_text(encoding="utf-8"))


def checksums() -> dict[str, str]:
    """SHA-256 of each migration file of the product, by its path in the project."""
    configs = [config for config in apps.get_app_configs() if Path(config.path).is_relative_to(ROOT)]
    files = [path for config in configs for path in Path(config.path).glob("migrations/[0-9]*.py")]
    return {str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows() -> dict[str, list[dict[str, Any]]]:
    """Every row of this database as JSON, by model, parents first."""
    kept = [
        model
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy and not {model._meta.label, model._meta.app_label} & EXCLUDED
    ]
    return {
        model._meta.label: [_as_json(row) for row in model._base_manager.order_by("pk")]
        for model in kept
        if model._base_manager.exists()
    }


def _as_json(row: models.Model) -> dict[str, Any]:
    found = {}
    for field in row._meta.concrete_fields:
        value = field.value_from_object(row)
        # Dates are protected types, but JSON has none.
        plain = value is None or (is_protected_type(value) and isinstance(value, int | float | str))
        found[field.attname] = value if plain else field.value_to_string(row)
    return found


def build(version: str) -> None:
    """Fill an empty database with the tables and rows of a released version."""
    leaves = [tuple(leaf) for leaf in read(version, "migrations.json")["leaves"]]
    executor = MigrationExecutor(connection)
    executor.migrate(leaves)
    old = executor.loader.project_state(leaves).apps
    with transaction.atomic():
        made = []
        for label, found in read(version, "rows.json").items():
            model = old.get_model(label)
            made.append(model)
            for row in found:
                fields = {field.attname: field for field in model._meta.concrete_fields}
                values = {name: fields[name].to_python(value) for name, value in row.items()}
                # As fixtures are loaded: no field fills in the present time.
                models.Model.save_base(model(**values), raw=True, force_insert=True)
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), made):
                cursor.execute(statement)


def missing(version: str) -> dict[str, list[Any]]:
    """Keys of recorded rows that this database no longer has, by model."""
    found = {}
    for label, recorded in read(version, "rows.json").items():
        model = apps.get_model(label)
        key = model._meta.pk
        keys = {key.to_python(row[key.attname]) for row in recorded}
        if gone := keys - set(model._base_manager.values_list("pk", flat=True)):
            found[label] = sorted(map(str, gone))
    return found
