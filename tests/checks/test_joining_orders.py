"""Who is one user follows from the accounts, and not from the order in which sources were imported."""

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from checks.models import Account, JoinSuggestion
from tests.checks.imports import Row, load, undone

pytestmark = pytest.mark.django_db

SOURCES = ("okta", "entra", "hr")
ADDRESSES = ("kim@x.org", "lee@x.org", "pat@x.org", "kim.lee@x.org", "svc@x.org", "")
# Two numbers with and without the zeros that spreadsheets drop.
EMPLOYEE_IDS = ("", "", "100", "0100", "000100", "200", "0200", "300", "00000000")
NAMES = ("", "Kim Lee", "Kim Lee (Admin)", "Pat Roe")
# Immutable ids of Active Directory (by number) as its own accounts and as others name them, and one of Okta.
GUIDS = [f"{number}0000000-1111-4222-8333-444444444444" for number in range(1, 6)]
ANCHORS = ("", *GUIDS[:3], "00u0000000000000000A")
TYPES = ("internal", "", "service_account", "equipment")
HUMAN_TYPES = (None, "", "internal", "guest", "external")


@st.composite
def histories(draw: st.DrawFn) -> dict[str, list[list[Row]]]:
    """Per source its files, one after the other. Accounts keep their immutable id over renames; logins, addresses and
    employee ids pass from one to the other."""
    found: dict[str, list[list[Row]]] = {}
    for slug in SOURCES:
        keyed, anchored = draw(st.booleans()), draw(st.booleans())
        files = []
        for _ in range(draw(st.integers(1, 3))):
            numbers = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4, unique=True))
            logins = draw(st.permutations(["kim", "lee", "pat", "kim@x.org", "kim-admin", "svc"]))
            files.append(
                [
                    {
                        "login": login,
                        "email": draw(st.sampled_from(ADDRESSES)),
                        "employee_id": draw(st.sampled_from(EMPLOYEE_IDS)),
                        "display_name": draw(st.sampled_from(NAMES)),
                        "user_type": draw(st.sampled_from(TYPES)),
                        "status": draw(st.sampled_from(["active", "active", "disabled", "deleted"])),
                        "created_at": draw(st.sampled_from(["2020-01-01", "2090-01-01"])),
                    }
                    | (
                        {"source_key": GUIDS[number - 1] if slug == "entra" else f"k{number}"}
                        if keyed
                        else {}
                    )
                    | ({"source_anchor": draw(st.sampled_from(ANCHORS))} if anchored else {})
                    for number, login in zip(numbers, logins, strict=False)
                ]
            )
        found[slug] = files
    return found


def outcome(files: dict[str, list[list[Row]]], order: list[str]) -> object:
    """The users as sets of accounts, and the open suggestions, after imports in this order of sources."""
    with undone():
        waiting = {slug: list(each) for slug, each in files.items()}
        for slug in order:
            if waiting[slug]:
                kind = "hr" if slug == "hr" else "identity"
                load(waiting[slug].pop(0), slug, kind, full=True, force=True)
        names = {
            account.pk: f"{account.source.slug}/{account.login}/{account.source_key}"
            for account in Account.objects.select_related("source")
        }
        users: dict[int | None, set[str]] = {}
        for account in Account.objects.all():
            users.setdefault(account.user_id, set()).add(names[account.pk])
        assert None not in users
        suggestions = {
            (names[one.account_id], frozenset(users.get(one.user_id, ())))
            for one in JoinSuggestion.objects.filter(state="open", record=None)
        }
        shared = {
            names[pk] for pk in Account.objects.filter(employee_id_shared=True).values_list("pk", flat=True)
        }
        return {frozenset(each) for each in users.values()}, suggestions, shared


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(), st.data())
def test_the_order_of_imports_plays_no_part(files: dict[str, list[list[Row]]], data: st.DataObject) -> None:
    steps = [slug for slug, each in files.items() for _ in each]
    one, other = data.draw(st.permutations(steps)), data.draw(st.permutations(steps))
    assert outcome(files, one) == outcome(files, other)


def has_own_id(account: Account) -> bool:
    """Whether the employee id joins the account."""
    is_usable = bool(account.employee_key) and not account.employee_id_shared
    return is_usable and account.user_type in HUMAN_TYPES


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories())
def test_no_user_is_left_without_an_account_or_joins_against_the_rules(
    files: dict[str, list[list[Row]]],
) -> None:
    with undone():
        for slug, each in files.items():
            for rows in each:
                load(rows, slug, "hr" if slug == "hr" else "identity", full=True, force=True)
        by_user: dict[int, list[Account]] = {}
        for account in Account.objects.all():
            assert account.user_id is not None
            assert account.join_reason
            by_user.setdefault(account.user_id, []).append(account)
        for accounts in by_user.values():
            # The employee id of a non-human account is its owner's.
            ids = {a.employee_key for a in accounts if has_own_id(a)}
            live = {
                a.employee_key.lstrip("0")
                for a in accounts
                if a.employee_key in ids and a.status != "deleted"
            }
            assert len(live) <= 1, accounts


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories())
def test_an_account_leaves_its_user_to_the_account_that_has_its_former_employee_id(
    files: dict[str, list[list[Row]]],
) -> None:
    with undone():
        for slug, each in files.items():
            for rows in each:
                before = {account.pk: account for account in Account.objects.all() if has_own_id(account)}
                load(rows, slug, "hr" if slug == "hr" else "identity", full=True, force=True)
                after = [account for account in Account.objects.filter(source_key="") if account.employee_key]
                for account in after:
                    former = before.get(account.pk)
                    if former is None or former.employee_key == account.employee_key:
                        continue
                    holders = {
                        other.user_id
                        for other in after
                        if other.employee_key == former.employee_key and has_own_id(other)
                    }
                    assert account.user_id != former.user_id or holders <= {account.user_id}
