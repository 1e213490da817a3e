"""All checks with every kind of scope at once, as many items as an installation may set."""

from collections.abc import Sequence
from typing import Any

import pytest

from checks.catalogue import CATALOGUE
from checks.models import Check, Exclusion, Run
from checks.services import preview_run, run_checks, sync_catalogue, update_check, would_fail
from tests.checks.factories import days_ago, make_account, make_user, open_names

pytestmark = pytest.mark.django_db
# With three lists a check these are more items than SQLite takes parameters in one statement (32,766).
ITEMS = 400


@pytest.fixture(autouse=True)
def _catalogue(db: None) -> None:
    sync_catalogue()
    for name in ("ann@in.test", "bob@out.test", "cyd@elsewhere.test", "dan@in.test", "eve@in.test"):
        user = make_user(name, no_mfa_since=days_ago(4000), mfa_bypass=True)
        make_account(user)
        if name == "eve@in.test":
            for check in Check.objects.all():
                Exclusion.objects.create(check_ref=check, user=user, reason="accepted")


def filled(items: Sequence[str], *, domain: bool) -> list[str]:
    more = (f"filler{number}.test" for number in range(ITEMS - len(items)))
    return [*items, *(name if domain else f"user@{name}" for name in more)]


def mixtures() -> list[dict[str, Any]]:
    """Every mixture of the three lists."""
    lists = {
        "ignored_domains": filled(["out.test"], domain=True),
        "included_domains": filled(["in.test", "out.test"], domain=True),
        "ignored_logins": filled(["DAN@in.test"], domain=False),
    }
    chosen = [[name for bit, name in enumerate(lists) if number >> bit & 1] for number in range(8)]
    return [{name: lists[name] for name in names} for names in chosen]


SCOPES = mixtures()
ALL = SCOPES[-1]


def test_all_checks_run_with_all_scopes_at_once():
    for check in Check.objects.all():
        update_check(check, **ALL)

    run = run_checks(trigger="command")

    assert (run.state, run.results.count()) == (Run.State.SUCCEEDED, len(CATALOGUE))
    assert open_names("no-mfa") == open_names("mfa-bypass") == ["ann@in.test"]
    assert {preview.error for preview in preview_run()} == {""}
    assert would_fail(Check.objects.get(slug="no-mfa"), settings={}, **ALL) == 1


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: "+".join(scope) or "exclusions alone")
def test_each_check_keeps_to_its_own_scope(scope):
    """`mfa-bypass` alone has no scope: it evaluates everybody who is not excluded."""
    for check in Check.objects.exclude(slug="mfa-bypass"):
        update_check(check, **scope)

    assert run_checks(trigger="command").state == Run.State.SUCCEEDED

    everybody = {"ann@in.test", "bob@out.test", "cyd@elsewhere.test", "dan@in.test"}
    left_out = {
        *(["bob@out.test"] if "ignored_domains" in scope else []),
        *(["cyd@elsewhere.test"] if "included_domains" in scope else []),
        *(["dan@in.test"] if "ignored_logins" in scope else []),
    }
    assert open_names("mfa-bypass") == sorted(everybody)
    assert open_names("no-mfa") == sorted(everybody - left_out)


def test_the_longest_lists_in_the_settings_of_checks_run():
    domains = [f"internal{number}.test" for number in range(1000)]
    update_check(Check.objects.get(slug="email-forwarding"), settings={"internal_domains": domains})
    countries = [f"{one}{other}" for one in "ABCDEFGHIJ" for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    update_check(Check.objects.get(slug="denied-territory"), settings={"countries": countries})

    assert run_checks(trigger="command").state == Run.State.SUCCEEDED
