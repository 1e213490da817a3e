"""Each sync fails at a random call with a random fault and goes on: no account is deleted, no finding changes that the
data do not support, and every page is read at most twice. The first part holds for every kind of source.

``SYNC_FAULT_SEED`` chooses the calls; without it they are the same each time.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from checks.models import Account, Finding, Run
from checks.services import add_source, run_checks, sync_catalogue
from cii_project.sync import driver
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_error, okta_factor, okta_user
from cii_project.tools.scripted_sources.server import Answer, Asked, ScriptedServer
from integrations.models import SourceConnection, Sync
from integrations.services import save_connection
from integrations.source_data import Fault, SourceFault
from integrations.sources import API_SOURCES
from integrations.sources.okta.kind import OktaSource
from tests.doubles.directory import CLOSE, ScriptedDirectory, Search
from tests.sync.test_every_source import KINDS, WORLDS
from tests.sync.worlds import connect, serving, sync, work

pytestmark = pytest.mark.django_db(transaction=True)

SEED = int(os.environ.get("SYNC_FAULT_SEED", "7"))
# What a server may do instead of answering, by its protocol.
HTTP_FAULTS: dict[str, Answer] = {
    "reset": Answer(resets=True),
    "outage": Answer(500, b"oops"),
    "limit with a time": Answer(429, b"{}", {"Retry-After": "3"}),
    "limit without a time": Answer(429, b"{}"),
    "credential": Answer(401, b"{}"),
    "half an answer": Answer(
        200, b"[" + b" " * 4_000 + b"]", {"Content-Type": "application/json"}, breaks=True
    ),
    "not JSON": Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
    "another document": Answer(200, b'{"a": 1}', {"Content-Type": "application/json"}),
}
LDAP_FAULTS: dict[str, int | bytes] = {
    "reset": CLOSE,
    "busy": 51,
    "unavailable": 52,
    "credential": 49,
    "half an answer": b"\x30\x84\x00\x00",
    "not LDAP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}
# What may happen to a worker, whatever the protocol.
WORKER_FAULTS = ("killed worker", "late answer", "limit")
# Faults of each kind's test, a killed worker among them.
FAULTS_OF_A_KIND = 6
# A sync that failed is started again this many times.
RESTARTS = 2


class Killed(BaseException):
    """The worker is gone: nothing after this runs, but what the kernel does."""


class Calls:
    """The calls of a source kind during a block: each page and each account counts one. At number ``at`` the worker
    suffers ``fault``, after the provider has answered."""

    def __init__(self, at: int = 0, fault: str = "") -> None:
        self.at, self.fault, self.number = at, fault, 0

    @contextmanager
    def watched(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator["Calls"]:
        source = type(API_SOURCES[kind])
        with monkeypatch.context() as patch:
            for name in ("fetch", "fetch_account"):
                patch.setattr(source, name, self._wrapped(getattr(source, name), monkeypatch))
            yield self

    def _wrapped(self, original: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        def fetch(*arguments: Any) -> Any:
            self.number += 1
            is_hit = self.number == self.at
            page = original(*arguments)
            if is_hit and self.fault == "late answer":
                raise SourceFault("The provider did not answer in time.", Fault.TEMPORARY)
            if is_hit and self.fault == "limit":
                raise SourceFault("The provider asks to wait.", Fault.THROTTLED, wait=30.0)
            if is_hit and self.fault == "killed worker":
                kill_next_commit(monkeypatch)
            return page

        return fetch


def request_of(asked: Any) -> str:
    """A request as a text that is equal for equal requests."""
    if isinstance(asked, Search):
        return f"{asked.base} {asked.filter!r} {asked.first} {asked.asks_page}"
    if isinstance(asked, Asked):
        return f"{asked.method} {asked.path} {sorted(asked.query.items())} {asked.body!r}"
    return str(asked)


def asked_of(server: Any) -> list[Any]:
    """What the server was asked since the list was cleared; a double may keep no list."""
    found: list[Any] = getattr(server, "asked", [])
    return found


def requests(server: Any) -> Counter[str]:
    return Counter(request_of(each) for each in asked_of(server))


def faults_of(server: Any) -> dict[str, Any]:
    """Those of the server's protocol; a protocol without any here has those of the worker alone."""
    if isinstance(server, ScriptedServer):
        return HTTP_FAULTS
    return LDAP_FAULTS if isinstance(server, ScriptedDirectory) else {}


def state() -> tuple[Any, ...]:
    """Accounts and findings, as a member sees them."""
    accounts = Account.objects.order_by("source_key").values_list(
        "source_key", "login", "status", "mfa", "admin_roles", "groups", "user"
    )
    return list(accounts), set(Finding.objects.values_list("pk", "check_ref__slug", "user", "resolved_at"))


def sync_to_its_end(connection: SourceConnection) -> Sync:
    """What the schedule does: a sync that failed, or read less than it should, is started again."""
    done = sync_through_a_kill(connection)
    for _ in range(RESTARTS):
        if done.state == Sync.State.SUCCEEDED:
            break
        assert done.state in (Sync.State.FAILED, Sync.State.PARTIAL), (done.state, done.error)
        done = sync_through_a_kill(connection)
    return done


@pytest.mark.parametrize("kind", KINDS)
def test_a_sync_of_any_kind_survives_any_fault_at_any_call(kind, monkeypatch):
    """One fault after the other on one source, each at a random call of a sync of its own."""
    chance = random.Random(f"{SEED} {kind}")
    sync_catalogue()
    with WORLDS[kind].serve() as server:
        add_source(slug=kind, name=kind, kind="identity", provider=API_SOURCES[kind].provider)
        connection, _ = save_connection(slug=kind, kind=kind, document=WORLDS[kind].document(server))
        sync(connection)
        run_checks(trigger=Run.Trigger.COMMAND)
        asked_of(server).clear()
        with Calls().watched(kind, monkeypatch) as undisturbed:
            assert sync(connection).state == Sync.State.SUCCEEDED
        run_checks(trigger=Run.Trigger.COMMAND)
        usual, before = requests(server), state()
        assert before[0]

        answers = faults_of(server)
        others = [*answers, *WORKER_FAULTS[1:]]
        for fault in (WORKER_FAULTS[0], *chance.sample(others, min(FAULTS_OF_A_KIND - 1, len(others)))):
            asked_of(server).clear()
            answer = answers.get(fault)
            if answer is None:
                at = chance.randint(1, undisturbed.number)
                calls = Calls(at, fault)
            else:
                at, calls = chance.randint(1, usual.total()), Calls()
                server.disturb = lambda asked, at=at, answer=answer: answer if asked.number == at else None
            with calls.watched(kind, monkeypatch):
                done = sync_to_its_end(connection)
            server.disturb = None
            run_checks(trigger=Run.Trigger.COMMAND)

            met = (fault, at, done.error, f"SYNC_FAULT_SEED={SEED}")
            assert done.state == Sync.State.SUCCEEDED, met
            assert state() == before, met
            read = requests(server)
            assert (calls.number if answer is None else read.total()) >= at, ("the fault was not met", *met)
            assert not {each: count for each, count in read.items() if count > 2 * usual.get(each, 1)}, met


# An Okta organization with users, roles, groups and factors in many pages.
SEEDS = range(4)
USERS = 30
# Of an undisturbed sync: pages of users, of administrators with their roles, of groups with their members, and factors.
CALLS = 5 + 4 + 6 + USERS
FAULTS = {
    "outage": okta_error(500),
    "limit": okta_error(429, {"Retry-After": "3"}),
    "not JSON": Answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
    "half an answer": Answer(200, b"[" + b" " * 4_000 + b"]", breaks=True),
    "killed worker": None,
}


def organization() -> ScriptedOkta:
    keys = [f"00u{place:02}" for place in range(USERS)]
    return ScriptedOkta(
        users={key: okta_user(key, f"user{key}@example.com") for key in keys},
        factors={key: [okta_factor("webauthn", credentialId=key)] for key in keys[::2]},
        roles={key: ["ORG_ADMIN"] for key in keys[:3]},
        groups={"00g1": ("Payroll", keys[:20]), "00g2": ("Sales", keys[20:])},
        page=7,
    )


def findings() -> set[tuple[str, str]]:
    open_ones = Finding.objects.filter(resolved_at__isnull=True)
    return set(open_ones.values_list("check_ref__slug", "user__name"))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sync_that_fails_anywhere_goes_on_where_it_was(seed, monkeypatch):
    chance = random.Random(f"{SEED} {seed}")
    sync_catalogue()
    with serving(organization()) as server:
        connection = connect(server)
        sync(connection)
        run_checks(trigger=Run.Trigger.COMMAND)
        before, accounts = (
            findings(),
            list(Account.objects.order_by("pk").values_list("login", "status", "mfa")),
        )
        assert before

        server.asked.clear()
        at, fault = chance.randrange(1, CALLS), chance.choice(list(FAULTS))
        read: Counter[str] = Counter()

        def disturb(asked):
            read[f"{asked.path}?{sorted(asked.query.items())}"] += 1
            if asked.number != at:
                return None
            if FAULTS[fault] is None:
                kill_next_commit(monkeypatch)
            return FAULTS[fault]

        server.disturb = disturb
        done = sync_through_a_kill(connection)
        run_checks(trigger=Run.Trigger.COMMAND)

    assert done.state == Sync.State.SUCCEEDED, (at, fault, done.error)
    assert findings() == before
    assert list(Account.objects.order_by("pk").values_list("login", "status", "mfa")) == accounts
    assert max(read.values()) <= 2, (at, fault)


def kill_next_commit(monkeypatch):
    """The worker dies with what it has just read, before the page is stored."""
    original = driver._Worker._fence

    def dying(self, **values):
        monkeypatch.setattr(driver._Worker, "_fence", original)
        raise Killed

    monkeypatch.setattr(driver._Worker, "_fence", dying)


def sync_through_a_kill(connection):
    """A killed worker keeps its claim; once that has ended, the sweep lets another one go on."""
    try:
        return sync(connection)
    except Killed:
        started = Sync.objects.get(state=Sync.State.RUNNING)
        Sync.objects.filter(pk=started.pk).update(claim="of the dead", claimed_until=started.created_at)
        return work(started)


def test_a_provider_that_stays_away_fails_the_sync_and_changes_nothing():
    with serving(organization()) as server:
        connection = connect(server)
        sync(connection)
        accounts = list(Account.objects.order_by("pk").values())
        server.disturb = lambda asked: okta_error(500)
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert "E0000009" in done.error
    assert list(Account.objects.order_by("pk").values()) == accounts


def test_an_error_of_the_program_is_tried_again_and_then_given_up_without_a_change(monkeypatch):
    with serving(organization()) as server:
        connection = connect(server)
        sync(connection)
        accounts = list(Account.objects.order_by("pk").values())

        def broken(*given):
            raise KeyError("of a bug")

        monkeypatch.setattr(OktaSource, "fetch", broken)
        done = sync(connection)

    assert (done.state, done.claim) == (Sync.State.FAILED, "")
    assert "An unexpected error stopped the worker." in done.error
    assert list(Account.objects.order_by("pk").values()) == accounts


def test_factors_that_were_read_before_an_outage_are_imported_and_the_others_keep_their_value():
    okta = organization()
    with serving(okta) as server:
        connection = connect(server)
        sync(connection)
        okta.factors.clear()
        gone = iter(range(10_000))
        server.disturb = lambda asked: (
            okta_error(500) if asked.path.endswith("/factors") and next(gone) >= 20 else None
        )
        done = sync(connection)

    assert (done.state, done.passes.get(slug="factors").done) == (Sync.State.PARTIAL, 20)
    assert Account.objects.filter(mfa=True).count() == (USERS - 20) // 2


def test_a_provider_that_names_a_page_twice_is_not_followed_further():
    with serving(organization()) as server:

        def same_link(asked):
            if asked.path == "/api/v1/users" and asked.query.get("after"):
                link = f'<{server.url}{asked.path}?after=again>; rel="next"'
                return Answer(200, b"[]", {"Link": link, "Content-Type": "application/json"})
            return None

        server.disturb = same_link
        done = sync(connect(server))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert "same page twice" in done.error


def test_a_link_to_another_host_is_not_followed_and_gets_no_credential():
    with serving(organization()) as other, serving(organization()) as server:

        def lead_away(asked):
            link = f'<{other.url}/api/v1/users?after=x>; rel="next"'
            return Answer(200, b"[]", {"Link": link, "Content-Type": "application/json"})

        server.disturb = lead_away
        done = sync(connect(server))

    assert (done.state, other.asked) == (Sync.State.FAILED, [])
    assert "not the address of this source" in done.error
