"""Every named address of the pages and of the admin, and what each reads of a request."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.http import QueryDict
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLPattern, URLResolver

from checks.models import Account, Exclusion, Source, User
from checks.services import exclude_user
from cii_project.imports.uploads import store_upload
from tests.console.checks_world import attempted, check_of, delivered, failing_run, webhook


def filled_world() -> dict[str, Any]:
    """An installation with one of each thing that an address can name: the address's part → its value."""
    run = failing_run("ann@example.com")
    target = webhook()
    delivery = delivered(target)
    attempted(delivery)
    user = User.objects.get()
    exclude_user(check_of(), user, reason="Break-glass account")
    return {
        "pk": target.pk,
        "upload": store_upload(Source.objects.get(), "users.csv", [b"login\nann\n"], None).pk,
        "run_id": run.pk,
        "delivery_id": delivery.pk,
        "user_id": user.pk,
        "account": Account.objects.get().pk,
        "exclusion_id": Exclusion.objects.get().pk,
        "integration_id": target.pk,
        "audience": "list",
        "list_name": "users",
        "kind": "okta",
        "sync_id": 1,
        "source": "push",
        "rest": "Users",
        "object_id": "1",
        "app_label": "checks",
        "url": "nothing",
        "page": "targets/slack",
        "name": "check.png",
        "content_type_id": 1,
    }


def addresses(world: Mapping[str, Any]) -> dict[str, str]:
    """Name → path, such as ``console:check`` → ``/checks/no-mfa/``."""
    found: dict[str, str] = {}

    def walk(patterns: Any, prefix: str = "") -> None:
        for one in patterns:
            if isinstance(one, URLResolver):
                walk(one.url_patterns, f"{prefix}{one.namespace}:" if one.namespace else prefix)
            elif isinstance(one, URLPattern) and one.name:
                found[f"{prefix}{one.name}"] = reverse(f"{prefix}{one.name}", kwargs=arguments(one, world))

    walk(get_resolver().url_patterns)
    return found


def arguments(one: URLPattern, world: Mapping[str, Any]) -> dict[str, Any]:
    slug = "webhook" if str(one.name).startswith("integration") else "no-mfa"
    pattern: Any = one.pattern
    names = list(pattern.converters) or list(pattern.regex.groupindex)
    known = {"id": world["object_id"], "slug": slug, **world}
    if str(one.name).startswith("upload"):
        known["pk"] = world["upload"]
    return {name: known[name] for name in names}


@contextmanager
def read_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The names of parameters that are read of any request inside the block, sent or not."""
    names: set[str] = set()

    def spy(name: str) -> Any:
        original = getattr(QueryDict, name)

        def reading(self: QueryDict, key: str, *args: Any) -> Any:
            names.add(key)
            return original(self, key, *args)

        return reading

    with monkeypatch.context() as patched:
        for name in ("get", "getlist", "__getitem__", "__contains__"):
            patched.setattr(QueryDict, name, spy(name))
        yield names
