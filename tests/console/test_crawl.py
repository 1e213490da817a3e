"""Every address of the URLconf, asked for by everybody: who sees what, and which headers each answer carries."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.auth.models import User as Member
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone
from django_q.models import Schedule

from checks.models import Account, Check, Exclusion, JoinReason, JoinSuggestion, Source, User
from checks.services import import_accounts
from cii_project.console.core.roles import ROLE_BY_GROUP, Role
from cii_project.imports.uploads import store_upload
from cii_project.models import SavedFilter
from integrations.models import SourceConnection, Sync
from integrations.services import seal
from notifications.models import Hold
from notifications.services import subscribe
from tests.console.checks_world import HTMX, attempted, client_of, delivered, failing_run, webhook
from tests.scim.worlds import connect as connect_push

pytestmark = pytest.mark.django_db

# --- The one table of roles ----------------------------------------------------------------------------
# Everybody who may ask: each role, a superuser, and two who may see nothing.
NOBODY = {"anonymous": Role.NONE, "no role": Role.NONE}
MEMBERS: dict[str, Role] = {
    **NOBODY,
    **dict(sorted(ROLE_BY_GROUP.items(), key=lambda one: one[1])),
    "superuser": max(Role),
}
# A page of ours is for Viewers to read and for Operators to act on, except these.
READ = {
    Role.OPERATOR: {
        "check-exclude",
        "check-exclusion-remove",
        "check-exclusions-add",
        "check-exclusions-remove",
        "check-send-current",
        "check-target-options",
        "checks-bulk",
        "deliveries-replay",
        "hold-drop",
        "hold-release",
        "import-rejected",
        "integration-checks",
        "run-estimate",
        "run-now",
        "upload",
        "upload-check",
        "upload-columns",
        "upload-discard",
        "upload-import",
        "upload-progress",
        "upload-words",
        "user-exclude",
        "user-link",
    },
    Role.ENGINEER: {
        "integration-add",
        "integration-body-preview",
        "integration-delete",
        "integration-edit",
        "integration-new",
        "integration-rotate",
        "message-preview",
        "message-targets",
        "report-mail",
        "source-add",
        "source-delete",
        "source-edit",
        "source-new",
        "source-rename",
        "source-rotate",
    },
}
WRITE = {
    Role.VIEWER: {"filter-delete", "filter-save", "preferences"},
    Role.ENGINEER: {
        *READ[Role.ENGINEER],
        "check-enabled",
        "check-settings",
        "check-would-fail",
        "integration-reveal",
        "message-test",
        "messages",
        "settings",
        "source-forget",
    },
}
# Anyone may open the sign-in page; /metrics and /scim/v2/ ask for their own tokens.
PUBLIC = {"healthz", "metrics", "login", "logout", "scim", "scim-token"}
# The records, by app; None: superusers alone.
RECORDS: dict[str, Role | None] = {
    "checks": None,
    "integrations": None,
    "notifications": None,
    "audit": max(Role),
    "auth": None,
    "console": None,
    "django_q": None,
}


@dataclass(frozen=True, slots=True)
class Address:
    name: str
    path: str
    view: Any
    app: str = ""

    @property
    def is_ours(self) -> bool:
        return hasattr(self.view, "write_role")

    @property
    def read(self) -> Role:
        return next((role for role, names in READ.items() if self.name in names), Role.VIEWER)

    @property
    def write(self) -> Role:
        return next((role for role, names in WRITE.items() if self.name in names), Role.OPERATOR)

    def is_open_to(self, member: str) -> bool:
        """Whether a member may see it; an answer of 404 or 405 shows nothing either."""
        if self.name in PUBLIC or member == "superuser":
            return True
        if self.name == "index":
            return False
        if self.is_ours:
            return MEMBERS[member] >= self.read
        least = RECORDS[self.app] if self.app else Role.VIEWER
        return least is not None and MEMBERS[member] >= least


@pytest.fixture
def world() -> dict[str, Any]:
    """One of everything that an address can name."""
    run = failing_run("ann@example.com")
    target = webhook()
    check, user = Check.objects.get(slug="no-mfa"), User.objects.get()
    subscribe(check, target)
    delivery = delivered(target)
    attempted(delivery)
    source = Source.objects.get()
    upload = store_upload(source, "users.csv", [b"login\nann\n"], None)
    done = import_accounts([(1, {"login": "bob"})], source=source, file_name="users.csv")
    member = Member.objects.create_superuser("root")
    exclusion = Exclusion.objects.create(check_ref=check, user=user, reason="a test", created_by=member)
    saved = SavedFilter.objects.create(name="mine", page="users", member=member, is_shared=True)
    suggestion = JoinSuggestion.objects.create(
        account=Account.objects.get(login="bob"),
        user=user,
        reason=JoinReason.EMAIL,
        doubt="Several users fit.",
    )
    hold = Hold.objects.create(created_at=timezone.now())
    connection = SourceConnection.objects.create(source_slug=source.slug, kind="okta", sealed=seal({}))
    sync = Sync.objects.create(connection=connection, trigger="member", due_at=timezone.now())
    connect_push()
    Schedule.objects.create(name="daily", func="notifications.tasks.sweep", next_run=timezone.now())
    return {
        "slug": check.slug,
        "user_id": user.pk,
        "exclusion_id": exclusion.pk,
        "integration_id": target.pk,
        "audience": "list",
        "list_name": "users",
        "run_id": run.pk,
        "delivery_id": delivery.pk,
        "account": Account.objects.get(user=user).pk,
        "content_type_id": 1,
        "kind": connection.kind,
        "page": "targets/slack",
        "name": "checks.png",
        "sync_id": sync.pk,
        "id": member.pk,
        "url": "no-such-record",
        "pk": {
            "users/": user.pk,
            "filters/": saved.pk,
            "integrations/files/": upload.pk,
            "integrations/imports/": done.pk,
            "integrations/": target.pk,
            "deliveries/held/": hold.pk,
            "joining/": suggestion.pk,
        },
    }


def patterns(found: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for one in found:
        route = prefix + str(one.pattern)
        if hasattr(one, "url_patterns"):
            yield from patterns(one.url_patterns, route)
        else:
            yield route, one


def value_of(parameter: str, route: str, world: dict[str, Any]) -> str:
    """What stands for a parameter: an object that the route finds."""
    model = re.match(r"admin/(\w+)/(\w+)/", route)
    if model and parameter == "object_id":
        first = apps.get_model(model[1], model[2]).objects.first()
        return str(first.pk if first else uuid4())
    if parameter == "pk":
        return next(str(pk) for prefix, pk in world["pk"].items() if route.startswith(prefix))
    if route.endswith("sources/<slug:slug>/rotate"):
        return "push"
    if parameter == "slug" and route.startswith("integrations/"):
        return "okta" if "sources/" in route else "webhook"
    return str(world.get(parameter, 1))


def path_of(route: str, world: dict[str, Any]) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: value_of(part[1], route, world), route)


def addresses(world: dict[str, Any]) -> list[Address]:
    found = []
    for route, pattern in patterns(get_resolver().url_patterns):
        view = getattr(pattern.callback, "view_class", pattern.callback)
        app = re.match(r"admin/(\w+)/\w+/", route)
        name = pattern.name or ""
        if name == "app_list":
            labels = re.search(r"\(\?P<app_label>([\w|]+)\)", route)
            assert labels
            found += [Address(name, f"/admin/{label}/", view, label) for label in labels[1].split("|")]
            continue
        route = route.replace("(?P<url>.*)$", "<url>")
        path = path_of(route, world)
        label = app[1] if app and app[1] in RECORDS else ""
        found.append(Address(name, f"/{path}", view, label))
    return found


def client_for(member: str) -> Client:
    if member == "anonymous":
        return Client()
    if member == "superuser":
        client = Client()
        client.force_login(Member.objects.get(username="root"))
        return client
    return client_of("" if member == "no role" else member)


def missing_headers(answer: Any) -> list[str]:
    wanted = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
    }
    missing = [name for name, value in wanted.items() if answer.headers.get(name) != value]
    if "default-src 'none'" not in answer.headers.get("Content-Security-Policy", ""):
        missing.append("Content-Security-Policy")
    return missing


def is_turned_away(answer: Any) -> bool:
    """To the sign-in, or refused; what does not exist or is never shown (405) shows nothing."""
    if answer.status_code == 302:
        # The admin sends a record's bare address on to its page, which then decides, and one that does not exist
        # to its start.
        onward = {f"{answer.wsgi_request.path}change/", "/admin/"}
        return bool(answer["Location"].startswith("/admin/login/") or answer["Location"] in onward)
    return answer.status_code in (401, 403, 404, 405)


# --- What the pages declare is what the table says --------------------------------------------------------
def test_every_page_declares_the_roles_of_the_table(world):
    declared = {one.name: (one.view.role, one.view.write_role) for one in addresses(world) if one.is_ours}
    expected = {one.name: (one.read, one.write) for one in addresses(world) if one.is_ours}
    assert declared == expected
    named = set().union(*READ.values(), *WRITE.values())
    assert named <= set(declared)


def test_every_app_of_the_records_is_in_the_table(world):
    assert {one.app for one in addresses(world) if one.app} == set(RECORDS)


# --- The crawl -----------------------------------------------------------------------------------------
def problem(address: Address, member: str, answer: Any) -> str:
    """What is wrong with an answer; empty where nothing is."""
    if missing := missing_headers(answer):
        return f"lacks {missing}"
    if answer.status_code >= 500 and address.name != "healthz":
        return f"answers {answer.status_code}"
    turned_away = is_turned_away(answer)
    if not address.is_open_to(member) and not turned_away:
        return f"answers {answer.status_code}, and is not for {member}"
    if address.is_ours and address.is_open_to(member) and turned_away and answer.status_code != 405:
        return f"answers {answer.status_code}, and is for {member}"
    return ""


@pytest.mark.parametrize("member", MEMBERS)
def test_nobody_sees_a_page_that_the_role_does_not_open(world, member):
    client, wrong, opened = client_for(member), {}, 0
    for address in addresses(world):
        answer = client.get(address.path)
        if found := problem(address, member, answer):
            wrong[address.path] = found
        opened += answer.status_code == 200
    assert wrong == {}
    assert opened >= 20 or member in NOBODY


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["form", "htmx"])
def test_nobody_acts_on_a_page_beyond_the_role(world, member, headers):
    """No request that may change something is let through; what would be allowed is not sent."""
    client, wrong, asked = client_for(member), {}, 0
    for address in addresses(world):
        if not address.is_ours or MEMBERS[member] >= address.write:
            continue
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = client.generic(method, address.path, headers=headers)
            asked += 1
            if not is_turned_away(answer) or answer.status_code in (404, 405):
                wrong[f"{method} {address.path}"] = f"answers {answer.status_code}"
            if missing := missing_headers(answer):
                wrong[f"{method} {address.path}"] = f"lacks {missing}"
    assert wrong == {}
    assert asked or MEMBERS[member] >= Role.ENGINEER


@pytest.mark.parametrize("member", MEMBERS)
def test_nobody_changes_a_record_beyond_the_role(world, member):
    if member == "superuser":
        return
    client = client_for(member)
    models = [model for model in apps.get_models() if model._meta.app_label in RECORDS]
    before = {model: model.objects.count() for model in models}
    for address in addresses(world):
        if address.app and address.name != "app_list":
            answer = client.post(address.path, {"post": "yes"})
            assert missing_headers(answer) == [], address.path
            if not address.is_open_to(member):
                assert is_turned_away(answer), address.path
    assert {model: model.objects.count() for model in models} == before


@pytest.mark.parametrize("member", MEMBERS)
def test_what_does_not_exist_carries_the_headers_too(world, member):
    client = client_for(member)
    for path in ("/no-such-page", "/checks/no-such-check/", "/users/999999/", "/admin/no/such/"):
        assert missing_headers(client.get(path)) == [], path


def test_a_static_file_may_be_kept_and_can_run_nothing():
    answer = Client().get("/static/console/icon.svg")
    answer.close()
    assert answer.status_code == 200
    assert "no-store" not in answer["Cache-Control"]
    assert not {"X-Content-Type-Options", "Content-Security-Policy"} & set(missing_headers(answer))


def test_the_page_that_shows_a_signing_secret_once_is_kept_by_nobody(world):
    client = client_for("Engineer")
    answer = client.post(f"/integrations/{world['integration_id']}/rotate/", {"hours": "2"}, headers=HTMX)
    assert "whsec_" in answer.content.decode()
    assert missing_headers(answer) == []
