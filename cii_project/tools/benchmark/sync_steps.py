"""The step of ``benchmark sync``: a scripted provider, and the product's own driver until the sync has ended."""

import random
import time

from django.utils import timezone

from checks.services import add_source
from cii_project.sync.driver import advance
from cii_project.sync.requests import start_sync
from cii_project.tools.benchmark.measuring import measured
from cii_project.tools.benchmark.steps import step
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_factor, okta_user
from cii_project.tools.scripted_sources.server import Asked, ScriptedServer
from integrations.models import SourceConnection, Sync
from integrations.services import JsonObject, api_source, save_connection


@step
def sync_okta(users: int, seed: int, calls: int, share: int, again: bool) -> JsonObject:
    """Sync an organization of ``users`` that allows ``calls`` a minute, of which ``share`` percent are used; with
    ``again`` also after one in a hundred changed, as its log says."""
    chance = random.Random(seed)  # made-up data  # nosec B311
    okta = ScriptedOkta(calls=calls)
    keys = [f"00u{number:07}" for number in range(users)]
    okta.users = {key: okta_user(key, f"user.{key}@example.com") for key in keys}
    okta.factors = {key: [okta_factor("push")] for key in keys if chance.random() < 0.9}
    okta.roles = {key: ["ORG_ADMIN"] for key in keys[: max(1, users // 200)]}
    with ScriptedServer(okta) as server:
        add_source(slug="okta-api", name="Okta", kind="identity", provider="OKTA")
        connection, _ = save_connection(
            slug="okta-api",
            kind="okta",
            document={
                "url": server.url,
                "authorization": "api_token",
                "api_token": okta.token,
                "passes": {"groups": False},
            },
            rate_share=share,
        )
        found = {"first sync": _sync(connection, server)}
        if again:
            for key in keys[::100]:
                okta.change_factors(key, [okta_factor("webauthn", credentialId=key)])
            found["second sync"] = _sync(connection, server)
    return found


def _sync(connection: SourceConnection, server: ScriptedServer) -> JsonObject:
    server.asked.clear()
    started = start_sync(connection, Sync.Trigger.COMMAND)
    with measured() as figures:
        while started.state == Sync.State.RUNNING:
            if not advance(started.pk):
                started.refresh_from_db()
                time.sleep(max(0.0, min((started.due_at - timezone.now()).total_seconds(), 1.0)))
            started.refresh_from_db()
    if started.state != Sync.State.SUCCEEDED:
        raise AssertionError(f"The sync ended as {started.state}: {started.error}")
    counts = _counts(server.asked)
    planned = started.passes.get(slug="factors").cursor or {}
    return {
        **figures,
        "calls": len(server.asked),
        "by_limit": counts,
        "planned": {name: planned[name] for name in ("changed", "watched", "oldest")},
        "floor": _floor(connection, counts),
    }


def _counts(asked: list[Asked]) -> dict[str, int]:
    """The calls by the name of their limit."""
    counts: dict[str, int] = {}
    for each in asked:
        parts = each.path.strip("/").split("/")
        name = "roles" if "iam" in parts else parts[-1]
        counts[name] = counts.get(name, 0) + 1
    return counts


def _floor(connection: SourceConnection, counts: dict[str, int]) -> float:
    """The seconds that the calls take at the allowed rate, one limit after the other."""
    rates = {row.name: row.calls / row.window_seconds for row in connection.rate_buckets.all()}
    limits = {each.limit.name for each in api_source(connection).passes}
    return sum(
        count / (rates[name] * connection.rate_share / 100)
        for name, count in counts.items()
        if name in limits
    )
