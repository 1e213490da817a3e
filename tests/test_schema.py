"""The tables that the migrations make, compared with the models."""

from functools import cache

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models import Model

APPS = ("checks", "notifications", "integrations", "audit", "console")
MODELS = [model for app in APPS for model in apps.get_app_config(app).get_models()]

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_the_columns_of_a_table_are_in_the_order_of_the_model(model: type[Model]) -> None:
    """PostgreSQL reads a row from its first column on: the models put first what a run reads (checks.models.User).

    This holds for the columns of the first release: later migrations only add, and a new column comes last.
    """
    first = initial_columns(model)
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, model._meta.db_table)
    in_table = [column.name for column in described if column.name in first]
    assert in_table == [field.column for field in model._meta.concrete_fields if field.column in first]
    assert {column.name for column in described} == {field.column for field in model._meta.concrete_fields}


@cache
def initial_state(app: str) -> ProjectState:
    return MigrationLoader(None).project_state((app, "0001_initial"))


def initial_columns(model: type[Model]) -> set[str]:
    """The columns that the app's first migration made; none for a later model."""
    key = (model._meta.app_label, model._meta.model_name)
    if key not in initial_state(model._meta.app_label).models:
        return set()
    then = initial_state(model._meta.app_label).apps.get_model(*key)
    return {field.column for field in then._meta.concrete_fields}


def test_the_initial_columns_are_found() -> None:
    assert len(initial_columns(apps.get_model("checks", "User"))) > 40
