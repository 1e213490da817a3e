"""The step of ``benchmark sync``: a scripted provider, and the product's own driver until the sync has ended."""

import random
import time
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from typing import TYPE_CHECKING

from django.utils import timezone

from checks.services import add_source
from cii_project.sync.driver import advance
from cii_project.sync.requests import start_sync
from cii_project.tools.benchmark.measuring import measured
from cii_project.tools.benchmark.steps import step
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_factor, okta_user
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import SourceConnection, Sync
from integrations.services import JsonObject, api_source, save_connection


class Organization:
    """A scripted organization of ``users`` that serves from now on; in a process of its own, whose memory is not the
    worker's."""

    def __init__(self, users: int, seed: int, calls: int) -> None:
        chance = random.Random(seed)  # made-up data  # nosec B311
        self._okta = ScriptedOkta(calls=calls)
        self._keys = [f"00u{number:07}" for number in range(users)]
        self._okta.users = {key: okta_user(key, f"user.{key}@example.com") for key in self._keys}
        self._okta.factors = {key: [okta_factor("push")] for key in self._keys if chance.random() < 0.9}
        self._okta.roles = {key: ["ORG_ADMIN"] for key in self._keys[: max(1, users // 200)]}
        self._server = ScriptedServer(self._okta).__enter__()

    def place(self) -> tuple[str, str]:
        """Its address, and the token for it."""
        return self._server.url, self._okta.token

    def change(self) -> None:
        """Other factors for one user in a hundred, as the log says."""
        for key in self._keys[::100]:
            self._okta.change_factors(key, [okta_factor("webauthn", credentialId=key)])

    def take_counts(self) -> dict[str, int]:
        """The calls since the last time by the name of their limit."""
        counts: dict[str, int] = {}
        for each in self._server.asked:
            parts = each.path.strip("/").split("/")
            name = "roles" if "iam" in parts else parts[-1]
            counts[name] = counts.get(name, 0) + 1
        self._server.asked.clear()
        return counts


class _OktaProcess(BaseManager):
    if TYPE_CHECKING:
        Organization = Organization


_OktaProcess.register("Organization", Organization)


@step
def sync_okta(users: int, seed: int, calls: int, share: int, again: bool) -> JsonObject:
    """Sync an organization of ``users`` that allows ``calls`` a minute, of which ``share`` percent are used; with
    ``again`` also after one in a hundred changed, as its log says."""
    # Forked: a new interpreter would have no Django. No thread and no database connection is open yet.
    with _OktaProcess(ctx=get_context("fork")) as process:
        organization = process.Organization(users, seed, calls)
        url, token = organization.place()
        add_source(slug="okta-api", name="Okta", kind="identity", provider="OKTA")
        connection, _ = save_connection(
            slug="okta-api",
            kind="okta",
            document={
                "url": url,
                "authorization": "api_token",
                "api_token": token,
                "passes": {"groups": False},
            },
            rate_share=share,
        )
        found = {"first sync": _sync(connection, organization)}
        if again:
            organization.change()
            found["second sync"] = _sync(connection, organization)
    return found


def _sync(connection: SourceConnection, organization: Organization) -> JsonObject:
    started = start_sync(connection, Sync.Trigger.COMMAND)
    with measured() as figures:
        while started.state == Sync.State.RUNNING:
            if not advance(started.pk):
                started.refresh_from_db()
                time.sleep(max(0.0, min((started.due_at - timezone.now()).total_seconds(), 1.0)))
            started.refresh_from_db()
    if started.state != Sync.State.SUCCEEDED:
        raise AssertionError(f"The sync ended as {started.state}: {started.error}")
    counts = organization.take_counts()
    planned = started.passes.get(slug="factors").cursor or {}
    return {
        **figures,
        "calls": sum(counts.values()),
        "by_limit": counts,
        "planned": {name: planned[name] for name in ("changed", "watched", "oldest")},
        "floor": _floor(connection, counts),
    }


def _floor(connection: SourceConnection, counts: dict[str, int]) -> float:
    """The seconds that the calls take at the allowed rate, one limit after the other."""
    rates = {row.name: row.calls / row.window_seconds for row in connection.rate_buckets.all()}
    limits = {each.limit.name for each in api_source(connection).passes}
    return sum(
        count / (rates[name] * connection.rate_share / 100)
        for name, count in counts.items()
        if name in limits
    )
