"""Which pages ``benchmark pages`` visits: each page of the console, each filter, search and order of its lists."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.apps import apps
from django.db.models import Count
from django.urls import reverse

from checks.models import Account, Check, Finding, Run, Status, User, UserType
from checks.services import CATALOGUE, effective_settings
from cii_project.audit.admin import FirstRows, RecordAdmin
from cii_project.console.checks.failing_users import FAILING_SINCE, USER_GROUPS
from cii_project.console.checks.settings_tab import SETTING_PREFIX
from cii_project.console.deliveries.delivery_filters import PERIODS
from cii_project.console.users.user_filters import USER_FLAGS
from integrations.models import Integration
from notifications.models import Delivery, Event, Hold

HTMX = {"HX-Request": "true"}


@dataclass(frozen=True, slots=True)
class Visit:
    """``form``: what is posted. ``stream``: timed until its first bytes. ``most_ms``: the budget, in milliseconds."""

    name: str
    address: str
    form: dict[str, object] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    stream: bool = False
    most_ms: float = 300.0


def visits() -> Iterator[Visit]:
    for name in ("dashboard", "checks", "integrations", "sources", "settings", "integration-add"):
        yield Visit(name, reverse(f"console:{name}"))
    yield _dialog("population", "settings-population")
    yield from _search()
    yield from _list("checks", reverse("console:checks"), search=["mfa"], failing=["yes"], sort=["-failing"])
    yield from _users()
    wide, rare = _widest_and_rarest()
    yield from _check("check", wide)
    yield from _check("rare check", rare)
    yield from _about_check(wide)
    yield from _runs_and_deliveries()
    yield from _holds()
    yield from _integration()
    yield from _records()


def _list(name: str, address: str, **parameters: Iterable[object]) -> Iterator[Visit]:
    """The list with each value of each parameter, one at a time."""
    for parameter, values in parameters.items():
        for value in values:
            yield Visit(f"{name}, {parameter} {value}", f"{address}?{urlencode({parameter: value})}")


def _dialog(name: str, page: str, *arguments: object, query: str = "") -> Visit:
    return Visit(name, reverse(f"console:{page}", args=arguments) + query, headers=HTMX)


def _searches() -> dict[str, str]:
    """Texts that people search for: a letter, the last user's whole name, login and number, the most common
    name."""
    last = User.objects.order_by("-id")[0]
    account = Account.objects.order_by("-id")[0]
    return {
        "a letter": "a",
        "two letters": "zo",
        "a first name": "ada",
        "a whole name": last.display_name,
        "an e-mail": last.name,
        "a rare start": last.name[:-4],
        "a login": account.login,
        "an employee id": User.objects.exclude(employee_id="").order_by("-id")[0].employee_id,
        "nobody": "zzzz",
    }


def _searched(name: str, address: str, parameter: str, **more: str) -> Iterator[Visit]:
    for what, text in _searches().items():
        yield Visit(f"{name}, search of {what}", f"{address}?{urlencode({parameter: text, **more})}")


def _search() -> Iterator[Visit]:
    """The one search, as Ctrl+K asks it while somebody types."""
    address = reverse("console:search")
    for what, text in _searches().items():
        yield Visit(
            f"the one search, for {what}", f"{address}?{urlencode({'q': text})}", headers=HTMX, most_ms=100.0
        )


def _users() -> Iterator[Visit]:
    users = reverse("console:users")
    yield Visit("users", users)
    yield from _searched("users", users, "q")
    checks = ["no-mfa", *(check.slug for check in _widest_and_rarest())]
    yield from _list(
        "users",
        users,
        status=Status.values,
        type=UserType.values,
        flag=list(USER_FLAGS),
        check=checks,
        source=["okta", "workday"],
    )
    for text in ("a", "zo"):
        yield Visit(f"users, {text} suspended", f"{users}?q={text}&status=suspended")
        yield Visit(f"users, {text} administrators", f"{users}?q={text}&flag=admin")
        yield Visit(f"users, {text} failing", f"{users}?q={text}&check={checks[1]}")
        yield Visit(f"users, {text} failing a rare check", f"{users}?q={text}&check={checks[2]}")
    yield Visit("users, guests failing", f"{users}?flag=guest&check={checks[1]}")
    yield Visit("users, administrators of a source", f"{users}?flag=admin&source=workday")
    failing = Finding.objects.filter(resolved_at=None).values_list("user").annotate(n=Count("id"))
    worst = failing.order_by("-n")[0][0]
    boss = User.objects.exclude(manager=None).order_by("id")[0].manager_id
    yield Visit("user who fails most", reverse("console:user", args=[worst]))
    yield Visit("user who manages", reverse("console:user", args=[boss]))
    for text in ("a", "zo", "zzzz"):
        yield _dialog(f"link an account, {text}", "user-link", worst, query=f"?q={text}")
    yield _dialog("save a filter", "filter-save", "users", query="?q=a")


def _widest_and_rarest() -> tuple[Check, Check]:
    """The checks that most and fewest fail."""
    failing = Finding.objects.filter(resolved_at=None).values_list("check_ref").annotate(n=Count("id"))
    order = [check for check, _ in failing.order_by("-n", "check_ref")]
    return Check.objects.get(pk=order[0]), Check.objects.get(pk=order[-1])


def _check(name: str, check: Check) -> Iterator[Visit]:
    address = reverse("console:check", args=[check.slug])
    yield from _list(
        name,
        address,
        sort=["failing_since", "user", "-user", "department"],
        group=list(USER_GROUPS),
        age=list(FAILING_SINCE),
    )
    yield from _searched(name, address, "search")
    for text in ("a", "zo"):
        yield Visit(f"{name}, {text} by name", f"{address}?search={text}&sort=user")
    yield Visit(f"{name}, administrators by name", f"{address}?group=admin&sort=user")
    yield Visit(f"{name}, older administrators", f"{address}?group=admin&age=older")
    yield Visit(f"{name}, older by name", f"{address}?age=older&sort=user")
    yield Visit(f"{name}, oldest of the last week", f"{address}?age=7&sort=failing_since")
    yield Visit(f"{name}, new by name", f"{address}?age=run&sort=user")


def _about_check(check: Check) -> Iterator[Visit]:
    for page in ("check-settings", "check-exclusions", "check-history", "messages"):
        yield Visit(page, reverse(f"console:{page}", args=[check.slug]))
    export = reverse("console:check-export", args=[check.slug])
    for name, query in (
        ("", ""),
        (", a letter", "?search=a"),
        (", nobody", "?search=zzzz"),
        (", administrators", "?group=admin"),
    ):
        yield Visit(f"export{name}", export + query, stream=True)
    for slug in CATALOGUE:
        given = {
            f"{SETTING_PREFIX}{k}": v for k, v in effective_settings(Check.objects.get(slug=slug)).items()
        }
        form = {
            "severity": "high",
            **{name: value for name, value in given.items() if value not in (None, False)},
        }
        yield Visit(f"would fail, {slug}", reverse("console:check-would-fail", args=[slug]), form, HTMX)
    user = Finding.objects.filter(check_ref=check, resolved_at=None).order_by("-id")[0].user_id
    target = Integration.objects.order_by("id")[0]
    yield _dialog("exclude a user", "check-exclude", check.slug, user)
    yield _dialog("send who fails now", "check-send-current", check.slug, target.pk, "list")
    yield _dialog("options of a target", "check-target-options", check.slug, target.pk, "user")
    toggle = reverse("console:check-target", args=[check.slug, target.pk, "list"])
    yield Visit("enable a target", toggle, {"enabled": "on"}, HTMX)
    preview = reverse("console:message-preview", args=[check.slug])
    yield Visit(
        "preview of a message",
        preview,
        {"kind": "webhook", "person": str(user), "text": "{{ user.name }}"},
        HTMX,
    )


def _runs_and_deliveries() -> Iterator[Visit]:
    runs, deliveries = reverse("console:runs"), reverse("console:deliveries")
    run = Run.objects.latest("created_at")
    yield Visit("runs", runs)
    yield from _list("runs", runs, state=["succeeded", "failed"])
    yield Visit("run", reverse("console:run", args=[run.pk]))
    yield _dialog("progress of a run", "run-progress", run.pk)
    yield _dialog("run now", "run-now")
    yield Visit("deliveries", deliveries)
    target = Integration.objects.order_by("id").values_list("pk", flat=True)
    wide, rare = _widest_and_rarest()
    filters: dict[str, Iterable[object]] = {
        "state": Delivery.State.values,
        "target": [target[0], target[5]],
        "check": [wide.slug, rare.slug],
        "period": list(PERIODS),
        "origin": Event.Origin.values,
        "run": [run.pk],
    }
    yield from _list("deliveries", deliveries, **filters)
    for query in (
        f"state=dead&check={rare.slug}",
        f"state=skipped&target={target[5]}",
        "state=dead&origin=test",
        f"state=due&check={rare.slug}&period=24",
    ):
        yield Visit(f"deliveries, {query}", f"{deliveries}?{query}")
    for query in (
        "",
        "?state=delivered",
        f"?state=delivered&check={wide.slug}",
        "?state=delivered&period=720",
    ):
        yield _dialog(f"replay{query}", "deliveries-replay", query=query)
    for state in ("dead", "delivered"):
        one = Delivery.objects.filter(state=state).order_by("-created_at", "-id")[0]
        yield Visit(f"delivery, {state}", reverse("console:delivery", args=[one.pk]))


def _holds() -> Iterator[Visit]:
    hold = Hold.objects.latest("created_at")
    page, export = (reverse(f"console:{name}", args=[hold.pk]) for name in ("hold", "hold-export"))
    yield Visit("held messages", reverse("console:holds"))
    yield Visit("hold", page)
    yield from _searched("hold", page, "q")
    yield Visit("export of a hold", export, stream=True)
    for name in ("hold-release", "hold-drop"):
        yield _dialog(name, name, hold.pk)


def _integration() -> Iterator[Visit]:
    target = Integration.objects.order_by("id")[0]
    for page in ("integration", "integration-edit"):
        yield Visit(page, reverse(f"console:{page}", args=[target.pk]))
    yield Visit("integration-new", reverse("console:integration-new", args=["webhook"]))
    for page in ("integration-checks", "integration-rotate", "integration-delete"):
        yield _dialog(page, page, target.pk)
    yield _dialog("next runs", "settings-next-runs", query="?run_time=06:00&run_zone=Europe/Berlin")


def _last_record_page(model: str) -> int:
    """The last page of records that can be opened, from 1 on."""
    rows = apps.get_model(model.replace("_", ".", 1))._default_manager.all()[: FirstRows.most].count()
    return max(1, -(-int(rows) // RecordAdmin.list_per_page))


def _records() -> Iterator[Visit]:
    """The operators' records (Django admin) of what grows."""
    yield Visit("records", reverse("admin:index"))
    for model in (
        "checks_user",
        "checks_account",
        "checks_authenticator",
        "checks_finding",
        "checks_checkresult",
        "notifications_event",
        "notifications_delivery",
        "notifications_attempt",
    ):
        address = reverse(f"admin:{model}_changelist")
        yield Visit(f"records of {model}", address)
        yield Visit(f"records of {model}, last page", f"{address}?p={_last_record_page(model)}")
    for model in ("checks_user", "checks_account", "checks_finding"):
        address = reverse(f"admin:{model}_changelist")
        yield from _searched(f"records of {model}", address, "q")
