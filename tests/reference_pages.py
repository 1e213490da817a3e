"""The pages of docs/reference/, written from the code: ``python -m tests.update`` writes them again.

tests/test_reference_pages.py fails when one is not what this module writes.
"""

import sys
from argparse import Action, _SubParsersAction
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "reference"
NO_VALUE = ("", None, False, [], "==SUPPRESS==")


def pages() -> dict[str, str]:
    """File name → text."""
    makers: Mapping[str, Callable[[], Iterator[str]]] = {
        "checks.md": _checks,
        "commands.md": _commands,
        "data-model.md": _data_model,
        "metrics.md": _metrics,
        "payloads.md": _payloads,
        "roles.md": _roles,
    }
    return {name: "\n".join(maker()).rstrip() + "\n" for name, maker in makers.items()}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        cells = [" ".join(str(cell).split()).replace("|", "\\|") for cell in row]
        yield "| " + " | ".join(cells) + " |"
    yield ""


# --- Checks -------------------------------------------------------------------------------------------
def _checks() -> Iterator[str]:
    from checks.catalogue import CATALOGUE
    from checks.engine.rules import build_rule
    from checks.models import Check, FieldGroup

    now = datetime(2026, 1, 1, tzinfo=UTC)
    yield "# Reference: checks"
    yield ""
    yield (
        "Every check that ships, by severity. [Checks](../checks.md) says how a check answers. In the texts `{{name}}` stands "
        "for a setting."
    )
    yield ""
    yield from _table(
        ("check", "severity", "topics"),
        (
            (f"[`{slug}`](#{slug})", check.severity, ", ".join(check.topics))
            for slug, check in CATALOGUE.items()
        ),
    )
    for slug, check in CATALOGUE.items():
        reads = build_rule(Check(pk=1, slug=slug), now, excluding=False).reads
        yield f"## {slug}"
        yield ""
        yield f"**{check.title}**, {check.severity}."
        yield ""
        for paragraph in check.description:
            yield paragraph
            yield ""
        groups = [str(group.label).lower() for group in FieldGroup if group in reads]
        yield f"- Fields that it reads: {', '.join(groups)}"
        if check.frameworks:
            yield f"- Controls: {', '.join(check.frameworks)}"
        yield ""
        if check.fields:
            yield from _table(
                ("setting", "default", "meaning"),
                (
                    (f"`{name}`", _written(field.initial), _sentence(field.label, field.help_text))
                    for name, field in check.fields.items()
                ),
            )
        yield "What to do:"
        yield ""
        yield from (f"- {action}" for action in check.recommended_actions)
        yield ""


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(f"`{each}`" for each in value) or "none"
    return f"`{value}`"


def _sentence(label: Any, help_text: Any) -> str:
    return f"{label}. {help_text}" if help_text else f"{label}."


# --- Commands -----------------------------------------------------------------------------------------
def _commands() -> Iterator[str]:
    from django.core.management.base import BaseCommand

    from cii_project.management import commands

    class Plain(BaseCommand):
        """For the options that every command of Django has."""

    common = {action.dest for action in Plain().create_parser("manage.py", "plain")._actions}
    yield "# Reference: commands"
    yield ""
    yield (
        "`python manage.py COMMAND`. Every command also has the options of Django, such as `--verbosity` and `--traceback`. "
        "[Operations](../operations.md#commands) lists the exit codes."
    )
    yield ""
    for module in iter_modules(commands.__path__):
        command = import_module(f"{commands.__name__}.{module.name}").Command()
        parser = command.create_parser("manage.py", module.name)
        yield f"## {module.name}"
        yield ""
        yield " ".join(command.help.split())
        yield ""
        options = [one for one in parser._actions if one.dest not in common and one.help != "internal"]
        yield from _options(options)


def _options(options: list[Action]) -> Iterator[str]:
    if not options:
        return
    assert not any(isinstance(option, _SubParsersAction) for option in options)
    yield from _table(
        ("argument", "default", "meaning"), ((_name(one), _default(one), _help(one)) for one in options)
    )


def _name(option: Action) -> str:
    value = option.metavar or ("" if option.nargs == 0 else option.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else str(value)
    if not option.option_strings:
        many = " …" if option.nargs in ("*", "+") else ""
        optional = option.nargs in ("*", "?")
        return f"`[{value}{many}]`" if optional else f"`{value}{many}`"
    return f"`{option.option_strings[-1]}{f' {value}' if value else ''}`"


def _default(option: Action) -> str:
    return "" if option.default in NO_VALUE or option.nargs == 0 else f"`{option.default}`"


def _help(option: Action) -> str:
    text = str(option.help or "").replace("%%", "%").replace("%(default)s", str(option.default))
    choices = [f"`{choice}`" for choice in option.choices or () if choice != "step"]
    return "; ".join(part for part in (text, f"one of {', '.join(choices)}" if choices else "") if part)


# --- Metrics ------------------------------------------------------------------------------------------
def _metrics() -> Iterator[str]:
    from cii_project.metrics import DECLARED

    yield "# Reference: metrics"
    yield ""
    yield "What `GET /metrics` exposes. [Operations](../operations.md#health) says how to read it and when to alert."
    yield ""
    yield from _table(
        ("metric", "kind", "labels", "meaning"),
        (
            (
                f"`{declared.name}`",
                declared.kind,
                ", ".join(f"`{label}`" for label in declared.labels),
                f"{declared.text}.",
            )
            for declared in DECLARED.values()
        ),
    )


# --- Payloads -----------------------------------------------------------------------------------------
def _payloads() -> Iterator[str]:
    from notifications.services import all_schemas

    yield "# Reference: payloads"
    yield ""
    yield (
        "The fields of each event, from the JSON Schemas that `manage.py schema` prints. [The wire contract](../contract.md) "
        "explains them."
    )
    yield ""
    for detail_type, schema in all_schemas().items():
        yield f"## {detail_type}"
        yield ""
        yield f"{schema['title']}."
        yield ""
        yield from _table(("field", "type", "always", "meaning"), _fields(schema))


def _fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        always = "yes" if name in required else ""
        yield f"`{path}`", _type(field), always, field.get("description", "")
        yield from _fields(field, f"{path}.")
        items = field.get("items")
        if isinstance(items, Mapping):
            yield from _fields(items, f"{path}[].")


def _type(field: Mapping[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    kind = field.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else str(kind)
    items = field.get("items")
    if kind == "array" and isinstance(items, Mapping):
        return f"array of {_type(items)}"
    return f"{kind} ({field['format']})" if "format" in field else kind


# --- Roles --------------------------------------------------------------------------------------------
def _roles() -> Iterator[str]:
    from cii_project.urls import console

    yield "# Reference: roles"
    yield ""
    yield (
        "The role that each address of the console needs: *read* for opening it, *act* for sending its form. "
        "[Operations](../operations.md#members-and-roles) says what the roles are for."
    )
    yield ""
    rows = (
        (
            f"`/{one.pattern}`",
            one.callback.view_class.role.label if _reads(one) else "",
            one.callback.view_class.write_role.label if _acts(one) else "",
        )
        for one in console
    )
    yield from _table(("address", "read", "act"), sorted(rows))


def _reads(pattern: Any) -> bool:
    return _allows(pattern, "get")


def _acts(pattern: Any) -> bool:
    return _allows(pattern, "post")


def _allows(pattern: Any, method: str) -> bool:
    view = pattern.callback.view_class
    return method in view.http_method_names and hasattr(view, method)


# --- The data model -----------------------------------------------------------------------------------
APPS = {
    "checks": "Accounts, users, checks and findings",
    "integrations": "Targets and connected sources",
    "notifications": "Subscriptions, events and deliveries",
    "audit": "The audit trail",
    "console": "Imports and saved filters",
}


def _data_model() -> Iterator[str]:
    from django.apps import apps

    yield "# Reference: data model"
    yield ""
    yield (
        "The tables, drawn from the models. A line leads from the table that refers to the table that it refers to; "
        "its words are the column."
    )
    yield ""
    for label, title in APPS.items():
        models = sorted(apps.get_app_config(label).get_models(), key=lambda model: model.__name__)
        yield f"## {title}"
        yield ""
        yield "```mermaid"
        yield "erDiagram"
        for model in models:
            yield from _relations(model)
        yield "```"
        yield ""
        yield from _table(
            ("model", "one row is", "columns"),
            (
                (
                    f"`{model.__name__}`",
                    _first_sentence(model.__doc__ or ""),
                    ", ".join(f"`{field.column}`" for field in model._meta.concrete_fields),
                )
                for model in models
            ),
        )


def _relations(model: Any) -> Iterator[str]:
    relations = [field for field in model._meta.concrete_fields if field.is_relation]
    if not relations:
        yield f"    {model.__name__}"
    for field in relations:
        other = field.related_model.__name__
        if field.related_model._meta.app_label not in APPS:
            other = "Member"
        left = "|o" if field.one_to_one else "}o"
        right = "o|" if field.null else "||"
        yield f'    {model.__name__} {left}--{right} {other} : "{field.name}"'


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0].rstrip(".") + "."


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/reference/{name} is up to date.\n")
