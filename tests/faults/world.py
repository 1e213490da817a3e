"""What the suite starts from: users who fail five checks, eight webhooks, subscriptions. Needs Django set up."""

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management import call_command

from checks.models import Check
from integrations.auth.signing import new_signing_secret
from integrations.models import Integration
from integrations.services import rotate_signing_secret, save_integration
from notifications import services
from notifications.models import Audience, Configuration

USERS_PER_EVENT = 10
BASIC = "cii:open sesame"
KEY = "token-of-the-suite"
CLIENT = ("identity-checks", "secret of the client")
FAILED = ("no-mfa", "inactive-user", "password-never-expires", "no-manager", "user-type-missing")
COLUMNS = ("login", "email", "status", "user_type", "created_at", "last_sign_in_at", "mfa_enabled")
COLUMNS += ("password_never_expires", "manager")


@dataclass(frozen=True)
class TargetPlan:
    name: str
    authorization: str
    limits: dict[str, float]
    method: str = "POST"

    @property
    def path(self) -> str:
        return f"/{self.name}"


TARGETS = (
    TargetPlan("basic", "basic", {}),
    TargetPlan("key", "api_key", {}, "PATCH"),
    TargetPlan("oauth-form", "oauth", {}),
    TargetPlan("oauth-header", "oauth", {"concurrency": 8}, "PUT"),
    TargetPlan("slow", "basic", {"concurrency": 64}),
    TargetPlan("outage", "basic", {}),
    TargetPlan("strict", "basic", {"max_attempts": 3}),
    TargetPlan("gone", "basic", {}),
)
# Check → who gets a message for each user. Eight in all, so that the events are about eight times the users.
DIRECT = {
    "no-mfa": ("basic", "oauth-form"),
    "inactive-user": ("key", "slow"),
    "password-never-expires": ("oauth-header", "outage"),
    "no-manager": ("strict",),
    "user-type-missing": ("gone",),
}
LISTS = {"no-mfa": ("key", "strict"), "no-manager": ("oauth-form",), "user-type-missing": ("basic",)}
# Nobody has a manager: every one of these is a recorded skip.
MANAGERS = {"no-mfa": ("basic",)}
PER_USER = 8 + 4 / USERS_PER_EVENT


def users_for(events: int) -> int:
    """So many users bring at least so many requests."""
    return int(events / PER_USER) + 2


def document(plan: TargetPlan, base: str, secret: str) -> dict[str, Any]:
    authorization: dict[str, Any] = {"type": plan.authorization}
    if plan.authorization == "basic":
        authorization |= dict(zip(("username", "password"), BASIC.split(":"), strict=True))
    elif plan.authorization == "api_key":
        authorization |= {"name": "x-token", "value": KEY}
    else:
        way = "basic" if plan.name == "oauth-header" else "body"
        authorization |= {"endpoint": f"{base}/token", "client_authentication": way}
        authorization |= dict(zip(("client_id", "client_secret"), CLIENT, strict=True))
    return {
        "url": f"{base}{plan.path}",
        "method": plan.method,
        "authorization": authorization,
        "parameters": {"header": {"x-tenant": "acme"}, "query": {"from": "suite"}, "body": {"team": "iam"}},
        "signing": {"enabled": True, "secret": secret},
        "timeouts": {"connect": 1, "answer": 1.5},
    }


def rate_for(events: int) -> float:
    """Of the strict target, a second: less than comes to it at once, and not so little that the suite waits for it."""
    return max(5, events // 200)


def build(base: str, signing: dict[str, list[str]], events: int) -> None:
    """Targets and subscriptions on an empty database. ``base``: the receiver's URL."""
    call_command("setup", verbosity=0, stdout=io.StringIO())
    Configuration.load()
    # A limit that nobody exceeds: each message waits for its run's end and is counted.
    Configuration.objects.update(
        max_users_per_event=USERS_PER_EVENT, max_people_per_run=10_000_000, max_people_percent=0
    )
    made = {}
    for plan in TARGETS:
        given = document(plan, base, signing[plan.path][0])
        limits = plan.limits | ({"per_second": rate_for(events)} if plan.name == "strict" else {})
        made[plan.name] = save_integration(
            name=plan.name, kind="webhook", document=given, limits=limits
        ).integration
    audiences = ((DIRECT, Audience.USER), (LISTS, Audience.LIST), (MANAGERS, Audience.MANAGER))
    for table, audience in audiences:
        for slug, names in table.items():
            for name in names:
                services.subscribe(Check.objects.get(slug=slug), made[name], audience)


def signing_secrets() -> dict[str, list[str]]:
    """Path → the secrets that its target may sign with in turn."""
    return {plan.path: [new_signing_secret() for _ in range(4)] for plan in TARGETS}


def rotate(integration: Integration, secrets: list[str], step: int) -> None:
    rotate_signing_secret(integration, overlap_hours=1, secret=secrets[step % len(secrets)])


def write_users(path: Path, first: int, last: int) -> None:
    """Users who fail all five checks."""
    long_ago = datetime(2020, 1, 1, tzinfo=UTC).isoformat()
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for number in range(first, last):
            address = f"user{number}@acme.example"
            rows.writerow((address, address, "active", "", long_ago, long_ago, "no", "yes", ""))
