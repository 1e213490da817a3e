"""One table for each rule of docs/importing.md, "Which accounts are one user".

A case is a list of imports (source, records), and the users that follow: for each user the logins of its accounts.
"""

import pytest
from django.utils import timezone

from checks.models import Account, Check, CheckResult, Finding, Import, JoinSuggestion, Run, Source, User
from checks.services import (
    delete_source,
    exclude_user,
    link_account,
    run_checks,
    sync_catalogue,
    unlink_account,
)
from tests.checks.imports import Row, load

pytestmark = pytest.mark.django_db

Imports = list[tuple[str, list[Row]]]
Users = list[set[str]]


def given(imports: Imports) -> Import:
    done = None
    for source, rows in imports:
        done = load(rows, source, "hr" if source.startswith("hr") else "identity")
    assert done is not None
    return done


def users() -> Users:
    found: dict[int | None, set[str]] = {}
    for user, login in Account.objects.values_list("user_id", "login"):
        found.setdefault(user, set()).add(login)
    assert None not in found
    return sorted(found.values(), key=sorted)


def suggested() -> set[str]:
    """The logins of the accounts that wait for a member's decision."""
    return set(JoinSuggestion.objects.filter(state="open").values_list("account__login", flat=True))


# --- The immutable id ---

A = {"source_key": "k1", "login": "ann", "email": "ann@x.org", "employee_id": "101"}
SAME_ACCOUNT: dict[str, Row] = {
    "another login": {"login": "ann.new"},
    "another address": {"email": "new@x.org"},
    "another employee id": {"employee_id": "102"},
    "another login and address": {"login": "ann.new", "email": "new@x.org"},
    "another login and employee id": {"login": "ann.new", "employee_id": "102"},
    "another login and address, no employee id": {
        "login": "ann.new",
        "email": "new@x.org",
        "employee_id": "",
    },
}


@pytest.mark.parametrize("change", SAME_ACCOUNT.values(), ids=SAME_ACCOUNT)
def test_the_immutable_id_keeps_account_user_findings_and_exclusions(change: Row) -> None:
    sync_catalogue()
    load([A | {"status": "active", "mfa_enabled": "false", "created_at": "2020-01-01"}])
    before = Account.objects.get()
    assert before.user is not None
    exclude_user(Check.objects.get(slug="password-age"), before.user, reason="leave", until=None, by=None)
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa"])
    load([A | {"status": "active", "mfa_enabled": "false", "created_at": "2020-01-01"} | change], full=True)
    after = Account.objects.get()
    assert (after.pk, after.user) == (before.pk, before.user)
    assert Finding.objects.get(resolved_at=None).user == before.user
    assert before.user.exclusions.count() == 1
    assert after.login == change.get("login", "ann")


def test_where_the_immutable_id_agrees_alone_the_record_waits() -> None:
    load([A])
    done = load([{"source_key": "k1", "login": "bob", "email": "bob@x.org", "employee_id": "999"}])
    assert Account.objects.get().login == "ann"
    assert suggested() == {"ann"}
    assert "only the immutable id agrees" in str(done.warnings)


IDENTIFIED: dict[str, tuple[Imports, Users]] = {
    "an account with another key is not matched by its login": (
        [("a", [{"login": "ann", "source_key": "k1"}]), ("a", [{"login": "ann", "source_key": "k2"}])],
        [{"ann"}, {"ann"}],
    ),
    "an account without a key takes the key of its login": (
        [("a", [{"login": "ann"}]), ("a", [{"login": "ANN", "source_key": "k1"}])],
        [{"ANN"}],
    ),
    "and keeps it where a later file has no keys": (
        [
            ("a", [{"login": "ann", "source_key": "k1"}]),
            ("a", [{"login": "ann"}]),
            ("a", [{"login": "ann.new", "source_key": "k1"}]),
        ],
        [{"ann.new"}],
    ),
    "a key is of its source": (
        [("a", [{"login": "ann", "source_key": "1"}]), ("b", [{"login": "bob", "source_key": "1"}])],
        [{"ann"}, {"bob"}],
    ),
}


# --- An immutable id that several sources have ---

G, H = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", "11111111-4e5f-6071-8293-a4b5c6d7e8f9"
# G as Entra ID holds the id of an account of Active Directory.
G_STORED = "PSwbCl9OcWCCk6S1xtfo+Q=="
OKTA_ID = "00u1ab2cd3EFGHiJ4k5l"
IN_AD = {"login": "ann", "source_key": G}
IN_ENTRA = {"login": "ann@x.org", "source_key": H, "source_anchor": G_STORED}
BY_ANCHOR: dict[str, tuple[Imports, Users]] = {
    "an account of Entra ID is that of Active Directory from which it was made": (
        [("ad", [IN_AD]), ("entra", [IN_ENTRA])],
        [{"ann", "ann@x.org"}],
    ),
    "in braces and capital letters": (
        [("ad", [IN_AD | {"source_key": f"{{{G.upper()}}}"}]), ("entra", [IN_ENTRA])],
        [{"ann", "ann@x.org"}],
    ),
    "two sources that read the same directory": (
        [
            ("file", [{"login": "ann", "source_key": G}]),
            ("ldap", [{"login": "a.lee", "source_key": G.upper()}]),
        ],
        [{"a.lee", "ann"}],
    ),
    "two that name the same account of a third": (
        [("a", [{"login": "ann", "source_anchor": G}]), ("b", [{"login": "b1", "source_anchor": G_STORED}])],
        [{"ann", "b1"}],
    ),
    "by way of a third": (
        [
            ("ad", [IN_AD]),
            ("entra", [IN_ENTRA]),
            ("aws", [{"login": "a-lee", "source_anchor": H}]),
        ],
        [{"a-lee", "ann", "ann@x.org"}],
    ),
    "an id of Okta that it gave to an application": (
        [
            ("okta", [{"login": "ann", "source_key": OKTA_ID}]),
            ("scim", [{"login": "s", "source_anchor": OKTA_ID}]),
        ],
        [{"ann", "s"}],
    ),
    "an id that is unique in its source only": (
        [
            ("a", [{"login": "ann", "source_key": "4711"}]),
            ("b", [{"login": "bob", "source_key": "4711", "source_anchor": "4711"}]),
        ],
        [{"ann"}, {"bob"}],
    ),
    "it wins over address and login": (
        [
            ("ad", [IN_AD, {"login": "ann@x.org", "email": "m@x.org", "source_key": OKTA_ID}]),
            ("entra", [IN_ENTRA | {"email": "m@x.org"}]),
        ],
        [{"ann", "ann@x.org"}, {"ann@x.org"}],
    ),
    "others join both by an address of one": (
        [
            ("ad", [IN_AD]),
            ("entra", [IN_ENTRA | {"email": "m@x.org"}]),
            ("okta", [{"login": "o", "email": "m@x.org"}]),
        ],
        [{"ann", "ann@x.org", "o"}],
    ),
    "and over the employee ids, which join nobody then": (
        [
            ("ad", [IN_AD | {"employee_id": "101"}]),
            ("entra", [IN_ENTRA | {"employee_id": "102"}]),
            ("hr", [{"login": "w1", "employee_id": "101"}, {"login": "w2", "employee_id": "102"}]),
        ],
        [{"ann", "ann@x.org"}, {"w1"}, {"w2"}],
    ),
    "the employee id of one is that of both": (
        [
            ("ad", [IN_AD]),
            ("entra", [IN_ENTRA | {"employee_id": "101"}]),
            ("hr", [{"login": "w1", "employee_id": "101"}]),
        ],
        [{"ann", "ann@x.org", "w1"}],
    ),
    "both join the employee who has the address of one": (
        [
            ("ad", [IN_AD]),
            ("entra", [IN_ENTRA | {"email": "m@x.org"}]),
            ("hr", [{"login": "w1", "employee_id": "101", "email": "m@x.org"}]),
        ],
        [{"ann", "ann@x.org", "w1"}],
    ),
    "both join the employee who has the login of one": (
        [
            ("ad", [IN_AD]),
            ("entra", [IN_ENTRA]),
            ("hr", [{"login": "ANN", "employee_id": "101"}]),
        ],
        [{"ANN", "ann", "ann@x.org"}],
    ),
    "two pairs that have an address in common": (
        [
            ("ad", [IN_AD]),
            ("entra", [IN_ENTRA | {"email": "m@x.org"}]),
            ("okta", [{"login": "o", "source_key": OKTA_ID, "email": "m@x.org"}]),
            ("scim", [{"login": "s", "source_anchor": OKTA_ID}]),
        ],
        [{"ann", "ann@x.org", "o", "s"}],
    ),
    "accounts of one source are never one by it": (
        [
            ("ad", [IN_AD]),
            ("scim", [{"login": "s1", "source_anchor": G}, {"login": "s2", "source_anchor": G}]),
        ],
        [{"ann"}, {"s1"}, {"s2"}],
    ),
    "nor by way of others": (
        [
            ("ad", [IN_AD, {"login": "bob", "source_key": H}]),
            ("scim", [{"login": "s1", "source_anchor": G}]),
            ("entra", [{"login": "e1", "source_key": G, "source_anchor": H}]),
        ],
        [{"ann"}, {"bob"}, {"e1"}, {"s1"}],
    ),
    "a deleted account leaves it to the one that replaced it": (
        [
            ("ad", [IN_AD]),
            (
                "entra",
                [
                    IN_ENTRA | {"status": "deleted"},
                    IN_ENTRA | {"login": "ann2@x.org", "source_key": OKTA_ID},
                ],
            ),
        ],
        [{"ann", "ann2@x.org"}, {"ann@x.org"}],
    ),
    "an address of a pair joins an account without an id": (
        [
            ("ad", [IN_AD | {"email": "one@x.org"}]),
            ("entra", [IN_ENTRA | {"email": "two@x.org"}]),
            ("a", [{"login": "a1", "email": "one@x.org"}]),
            ("b", [{"login": "b1", "email": "two@x.org"}]),
        ],
        [{"a1", "ann", "ann@x.org", "b1"}],
    ),
    "whichever of their addresses the employee has": (
        [
            ("ad", [IN_AD | {"email": "ann@corp.x.org"}]),
            ("entra", [IN_ENTRA | {"email": "m@x.org"}]),
            ("hr", [{"login": "w1", "employee_id": "101", "email": "m@x.org"}]),
        ],
        [{"ann", "ann@x.org", "w1"}],
    ),
    "they join neither of two employees who have one address each": (
        [
            ("ad", [IN_AD | {"email": "ann@corp.x.org"}]),
            ("entra", [IN_ENTRA | {"email": "m@x.org"}]),
            (
                "hr",
                [
                    {"login": "w1", "employee_id": "101", "email": "m@x.org"},
                    {"login": "w2", "employee_id": "102", "email": "ann@corp.x.org"},
                ],
            ),
        ],
        [{"ann", "ann@x.org"}, {"w1"}, {"w2"}],
    ),
    "nobody by an address that several accounts of the source have": (
        [
            ("ad", [IN_AD | {"email": "m@x.org"}, {"login": "bob", "email": "m@x.org"}]),
            ("entra", [IN_ENTRA]),
            ("hr", [{"login": "w1", "employee_id": "101", "email": "m@x.org"}]),
        ],
        [{"ann", "ann@x.org"}, {"bob"}, {"w1"}],
    ),
    "an address whose owner at the source is another account": (
        [
            ("ad", [IN_AD | {"email": "m@x.org"}, {"login": "m", "email": "m@x.org"}]),
            ("entra", [IN_ENTRA]),
            ("hr", [{"login": "w1", "employee_id": "101", "email": "m@x.org"}]),
        ],
        [{"ann", "ann@x.org"}, {"m", "w1"}],
    ),
    "a disabled account of a pair leaves its address to the account that has it now": (
        [
            (
                "ad",
                [
                    IN_AD | {"email": "m@x.org", "status": "disabled"},
                    {"login": "new", "email": "m@x.org", "status": "active"},
                ],
            ),
            ("entra", [IN_ENTRA]),
            ("hr", [{"login": "w1", "employee_id": "101", "email": "m@x.org"}]),
        ],
        [{"ann", "ann@x.org"}, {"new", "w1"}],
    ),
    "two deleted accounts of one source join nobody, and the others join": (
        [
            ("ad", [IN_AD]),
            ("okta", [{"login": "o", "source_anchor": G}]),
            (
                "scim",
                [
                    {"login": "s1", "source_anchor": G, "status": "deleted"},
                    {"login": "s2", "source_anchor": G, "status": "deleted"},
                ],
            ),
        ],
        [{"ann", "o"}, {"s1"}, {"s2"}],
    ),
    "a deleted account that was replaced joins no others": (
        [
            ("ad", [IN_AD, {"login": "bob", "source_key": H}]),
            (
                "entra",
                [
                    {"login": "e1", "source_key": G, "source_anchor": H, "status": "deleted"},
                    {"login": "e2", "source_key": OKTA_ID, "source_anchor": G},
                ],
            ),
        ],
        [{"ann", "e2"}, {"bob"}, {"e1"}],
    ),
}


@pytest.mark.parametrize("order", [1, -1], ids=["", "reversed"])
@pytest.mark.parametrize(("imports", "expected"), BY_ANCHOR.values(), ids=BY_ANCHOR)
def test_who_has_one_immutable_id_at_several_sources_is_one_user(
    imports: Imports, expected: Users, order: int
) -> None:
    given(imports[::order])
    assert users() == sorted(expected, key=sorted)


def test_the_page_says_which_id_joins() -> None:
    given([("ad", [IN_AD]), ("entra", [IN_ENTRA])])
    joined = Account.objects.get(login="ann@x.org")
    assert (joined.join_reason, joined.source_anchor) == ("source_key", G)
    assert Account.objects.get(login="ann").join_reason == "first"


def test_a_pair_whose_employee_ids_differ_is_unknown_to_the_checks_against_hr() -> None:
    given(BY_ANCHOR["and over the employee ids, which join nobody then"][0])
    assert list(
        Account.objects.filter(employee_id_shared=True).values_list("source__slug", flat=True).order_by("pk")
    ) == [
        "ad",
        "entra",
    ]


ANCHOR_LATER: dict[str, Row] = {
    "of another account": {"source_anchor": H},
    "none": {"source_anchor": ""},
}


@pytest.mark.parametrize("change", ANCHOR_LATER.values(), ids=ANCHOR_LATER)
def test_a_join_by_an_immutable_id_is_undone_when_the_id_is_another(change: Row) -> None:
    other = {
        "login": "kim@x.org",
        "source_key": "00000000-0000-4000-8000-000000000001",
        "source_anchor": "none",
    }
    given([("ad", [IN_AD]), ("entra", [IN_ENTRA, other | {"source_anchor": OKTA_ID}])])
    assert users() == [{"ann", "ann@x.org"}, {"kim@x.org"}]
    given([("entra", [IN_ENTRA | change, other | {"source_anchor": OKTA_ID}])])
    assert users() == [{"ann"}, {"ann@x.org"}, {"kim@x.org"}]


def test_what_a_member_decided_wins_over_the_immutable_id() -> None:
    given([("ad", [IN_AD]), ("entra", [IN_ENTRA])])
    unlink_account(Account.objects.get(login="ann"), by=None)
    given([("ad", [IN_AD | {"title": "Clerk"}]), ("entra", [IN_ENTRA | {"title": "Clerk"}])])
    assert users() == [{"ann"}, {"ann@x.org"}]


def test_who_has_the_immutable_id_of_a_members_user_is_that_user() -> None:
    given([("ad", [IN_AD]), ("okta", [{"login": "kim"}])])
    link_account(Account.objects.get(login="ann"), Account.objects.get(login="kim").user, by=None)
    given([("entra", [IN_ENTRA]), ("hr", [{"login": "ann@x.org", "employee_id": "9"}])])
    assert users() == [{"ann", "ann@x.org", "kim"}, {"ann@x.org"}]


def test_an_account_whose_source_a_members_user_has_already_does_not_join_it() -> None:
    given([("ad", [{"login": "kim", "source_key": OKTA_ID}]), ("entra", [IN_ENTRA])])
    link_account(Account.objects.get(login="kim"), Account.objects.get(login="ann@x.org").user, by=None)
    given([("ad", [IN_AD])])
    assert users() == [{"ann"}, {"ann@x.org", "kim"}]


def test_two_accounts_of_one_source_do_not_join_a_members_user_by_different_ids() -> None:
    given([("okta", [{"login": "kim", "source_key": OKTA_ID}]), ("entra", [IN_ENTRA])])
    link_account(Account.objects.get(login="kim"), Account.objects.get(login="ann@x.org").user, by=None)
    given([("ad", [IN_AD, {"login": "bob", "source_anchor": OKTA_ID}])])
    assert users() == [{"ann"}, {"ann@x.org", "kim"}, {"bob"}]


# --- The employee id ---

PLACEHOLDERS = [
    *("00000000", "0", "TBD", "nan", "Contractor", "1.23457E+11", "n/a", "(blank)", "#REF!", "999999999"),
    *("Not Assigned", "unknown", "-", "XXXXXX", "none", "12345678", "pending", "#VALUE!"),
]
BY_EMPLOYEE_ID: dict[str, tuple[Imports, Users]] = {
    **{
        f"the placeholder {word} joins nobody": (
            [
                ("a", [{"login": "ann", "employee_id": word}]),
                ("b", [{"login": "bob", "employee_id": word}]),
            ],
            [{"ann"}, {"bob"}],
        )
        for word in PLACEHOLDERS
    },
    "an id joins accounts of two sources": (
        [("a", [{"login": "ann", "employee_id": "E7"}]), ("hr", [{"login": "w1", "employee_id": "e7"}])],
        [{"ann", "w1"}],
    ),
    **{
        f"the mark of a spreadsheet's text in {word} is not part of the id": (
            [
                ("a", [{"login": "ann", "employee_id": word}]),
                ("hr", [{"login": "w1", "employee_id": "001001"}]),
            ],
            [{"ann", "w1"}],
        )
        for word in ('="001001"', "'001001", '=" 001001 "')
    },
    **{
        f"the placeholder {word} joins nobody": (
            [("a", [{"login": "ann", "employee_id": word}]), ("b", [{"login": "bob", "employee_id": word}])],
            [{"ann"}, {"bob"}],
        )
        for word in ('="TBD"', '="00000000"', '=""', "'000000")
    },
    "and two accounts of one source": (
        [("a", [{"login": "ann", "employee_id": "7"}, {"login": "ann-adm", "employee_id": "7"}])],
        [{"ann", "ann-adm"}],
    ),
    "and three, with names that agree": (
        [
            (
                "a",
                [
                    {"login": "ann", "employee_id": "7", "display_name": "Ann Lee"},
                    {"login": "adm", "employee_id": "7", "display_name": "Lee, Ann (Admin)"},
                    {"login": "svc", "employee_id": "7"},
                ],
            )
        ],
        [{"ann", "adm", "svc"}],
    ),
    "names that contradict": (
        [
            (
                "a",
                [
                    {"login": "ann", "employee_id": "7", "display_name": "Ann Lee"},
                    {"login": "bob", "employee_id": "7", "display_name": "Bob Roe"},
                ],
            )
        ],
        [{"ann"}, {"bob"}],
    ),
    "four accounts of one source": (
        [("a", [{"login": f"u{n}", "employee_id": "7"} for n in range(4)])],
        [{"u0"}, {"u1"}, {"u2"}, {"u3"}],
    ),
    "nor do they join accounts of another source then": (
        [
            ("a", [{"login": f"u{n}", "employee_id": "7"} for n in range(4)]),
            ("b", [{"login": "ann", "employee_id": "7"}]),
        ],
        [{"ann"}, {"u0"}, {"u1"}, {"u2"}, {"u3"}],
    ),
    **{
        f"a {kind} does not join its owner by the owner's id": (
            [
                ("a", [{"login": "kim", "employee_id": "7", "user_type": human}]),
                ("b", [{"login": "svc", "employee_id": "7", "user_type": kind}]),
                ("hr", [{"login": "w1", "employee_id": "7"}]),
            ],
            [{"kim", "w1"}, {"svc"}],
        )
        for kind, human in (
            ("service_account", "internal"),
            ("shared_mailbox", "guest"),
            ("conference_room", "external"),
            ("equipment", ""),
        )
    },
    "nor in one file": (
        [
            (
                "a",
                [
                    {"login": "kim", "employee_id": "7", "user_type": "internal"},
                    {"login": "svc", "employee_id": "7", "user_type": "service_account"},
                ],
            )
        ],
        [{"kim"}, {"svc"}],
    ),
    "non-human accounts do not join each other by it": (
        [
            ("a", [{"login": "svc-a", "employee_id": "7", "user_type": "service_account"}]),
            ("b", [{"login": "svc-b", "employee_id": "7", "user_type": "service_account"}]),
        ],
        [{"svc-a"}, {"svc-b"}],
    ),
    "unless they have one login": (
        [
            ("a", [{"login": "svc", "employee_id": "7", "user_type": "service_account"}]),
            ("b", [{"login": "SVC", "employee_id": "7", "user_type": "shared_mailbox"}]),
            ("c", [{"login": "kim", "employee_id": "7", "user_type": "internal"}]),
        ],
        [{"SVC", "svc"}, {"kim"}],
    ),
    "one account that two sources type differently": (
        [
            ("a", [{"login": "kim", "employee_id": "7", "user_type": "internal"}]),
            ("b", [{"login": "KIM", "employee_id": "7", "user_type": "service_account"}]),
        ],
        [{"KIM", "kim"}],
    ),
    "owned accounts leave the id of the owner usable": (
        [
            (
                "a",
                [
                    {"login": "kim", "employee_id": "7", "user_type": "internal", "display_name": "Kim Doe"},
                    *(
                        {
                            "login": f"svc{n}",
                            "employee_id": "7",
                            "user_type": "service_account",
                            "display_name": f"Backup of host{n}",
                        }
                        for n in range(4)
                    ),
                ],
            ),
            ("hr", [{"login": "w1", "employee_id": "7"}]),
        ],
        [{"kim", "w1"}, {"svc0"}, {"svc1"}, {"svc2"}, {"svc3"}],
    ),
}


@pytest.mark.parametrize(
    "rows",
    [
        [{"login": f"u{n}", "employee_id": "7"} for n in range(4)],
        [{"login": n, "employee_id": "7", "display_name": f"{n} {n}son"} for n in ("ann", "bob")],
        [{"login": "ann", "employee_id": "TBD"}, {"login": "bob", "employee_id": "TBD"}],
    ],
    ids=["crowded", "contradicting", "placeholder"],
)
def test_where_an_id_joins_nobody_the_checks_against_hr_are_unknown_and_never_passed(rows: list[Row]) -> None:
    sync_catalogue()
    people = [row | {"status": "active", "user_type": "internal", "created_at": "2020-01-01"} for row in rows]
    # HR ended the user whose id that is, and knows somebody else.
    load([{"login": "w", "employee_id": "7", "status": "terminated", "department": "IT"}], "hr", "hr")
    done = load([row | {"department": "Sales"} for row in people], "a")
    if rows[0]["employee_id"] == "7":
        assert "joins nobody" in str(done.warnings)
    slugs = ["terminated-active", "missing-in-hr", "hr-mismatch"]
    run = run_checks(trigger=Run.Trigger.COMMAND, slugs=slugs)
    for result in CheckResult.objects.filter(run=run):
        assert (result.failing, result.unknown) == (0, len(rows)), result.check_ref.slug
        (cause,) = [each for each in result.unknown_causes if each["name"] == "employee_id"]
        assert cause["source"] == "a"


# --- The e-mail address ---

M = "m@x.org"
DOE = {"login": "kim.doe", "email": "kim.doe@x.org", "display_name": "Kim Doe"}
PAT = {"login": "pat", "email": "kim.doe@x.org", "display_name": "Pat Roe", "status": "active"}
BY_EMAIL: dict[str, tuple[Imports, Users]] = {
    "the address joins accounts of two sources": (
        [("a", [{"login": "ann", "email": M}]), ("b", [{"login": "b1", "email": "M@X.ORG"}])],
        [{"ann", "b1"}],
    ),
    **{
        f"a {kind} does not join its owner by the address": (
            [
                ("a", [{"login": "ann", "email": M, "user_type": "internal"}]),
                ("b", [{"login": "svc", "email": M, "user_type": kind}]),
            ],
            [{"ann"}, {"svc"}],
        )
        for kind in ("service_account", "shared_mailbox", "conference_room", "equipment")
    },
    "service accounts do not join each other by their owner's address": (
        [
            ("a", [{"login": "svc-backup", "email": M, "user_type": "service_account"}]),
            ("b", [{"login": "svc-deploy", "email": M, "user_type": "service_account"}]),
        ],
        [{"svc-backup"}, {"svc-deploy"}],
    ),
    "nor where one of them is named like the address": (
        [
            ("a", [{"login": "m", "email": M, "user_type": "shared_mailbox"}]),
            ("b", [{"login": "svc", "email": M, "user_type": "service_account"}]),
        ],
        [{"m"}, {"svc"}],
    ),
    "non-human accounts that are both named like the address join by it": (
        [
            ("a", [{"login": "m", "email": M, "user_type": "shared_mailbox"}]),
            ("b", [{"login": "x", "display_name": "M", "email": M, "user_type": "service_account"}]),
            ("c", [{"login": M, "user_type": "equipment"}]),
        ],
        [{"m", M, "x"}],
    ),
    "accounts of one source do not join by the address": (
        [("a", [{"login": "ann", "email": M}, {"login": "bob", "email": M}])],
        [{"ann"}, {"bob"}],
    ),
    "nor by way of an account of another source": (
        [
            ("a", [{"login": "ann", "email": M}, {"login": "bob", "email": M}]),
            ("b", [{"login": "x", "email": M}]),
        ],
        [{"ann"}, {"bob"}, {"x"}],
    ),
    "of several with one address the one whose login agrees joins others": (
        [
            ("a", [{"login": "m", "email": M}, {"login": "bob", "email": M}]),
            ("b", [{"login": "x", "email": M}]),
        ],
        [{"bob"}, {"m", "x"}],
    ),
    "or whose name agrees": (
        [
            (
                "a",
                [
                    {"login": "u1", "email": "kim.lee@x.org", "display_name": "Kim Lee"},
                    {"login": "u2", "email": "kim.lee@x.org", "display_name": "Bob Roe"},
                ],
            ),
            ("b", [{"login": "x", "email": "kim.lee@x.org"}]),
        ],
        [{"u1", "x"}, {"u2"}],
    ),
    "a gone account keeps its address from one of its source that does not agree with it": (
        [("hr", [DOE | {"status": "terminated"}, PAT]), ("b", [{"login": "kd", "email": DOE["email"]}])],
        [{"kd", "kim.doe"}, {"pat"}],
    ),
    "a gone account gives way to one that agrees too": (
        [
            (
                "hr",
                [
                    DOE | {"status": "terminated"},
                    DOE | {"login": "w2", "display_name": "Kim Doe", "status": "active"},
                ],
            ),
            ("b", [{"login": "kd", "email": DOE["email"]}]),
        ],
        [{"kd", "w2"}, {"kim.doe"}],
    ),
    "or where neither agrees": (
        [
            ("hr", [PAT | {"login": "w1", "status": "terminated"}, PAT]),
            ("b", [{"login": "kd", "email": DOE["email"]}]),
        ],
        [{"kd", "pat"}, {"w1"}],
    ),
    "nor do others join the employee of another source who does not agree": (
        [
            ("hr", [DOE | {"status": "terminated", "employee_id": "1"}]),
            ("a", [PAT | {"employee_id": "2"}]),
            ("b", [DOE | {"login": "kd"}]),
        ],
        [{"kd"}, {"kim.doe"}, {"pat"}],
    ),
    "different employee ids do not join by the address": (
        [
            ("a", [{"login": "ann", "email": M, "employee_id": "101"}]),
            ("b", [{"login": "bob", "email": M, "employee_id": "102"}]),
        ],
        [{"ann"}, {"bob"}],
    ),
}
# Employee ids of which a spreadsheet has dropped the leading zeros.
KIM_1001 = {"login": "kim", "email": "kim@x.org", "employee_id": "1001"}
W1_001001 = {"login": "w1", "email": "kim@x.org", "employee_id": "001001"}
PADDED: dict[str, tuple[Imports, Users]] = {
    "ids with and without zeros join by the address": (
        [("hr", [W1_001001]), ("okta", [KIM_1001])],
        [{"kim", "w1"}],
    ),
    "or by the login": (
        [
            ("hr", [{"login": "kim", "email": "kim@hr.org", "employee_id": "001001"}]),
            ("okta", [KIM_1001 | {"login": "KIM"}]),
        ],
        [{"KIM", "kim"}],
    ),
    "others join by either of the ids": (
        [
            ("hr", [W1_001001]),
            ("okta", [KIM_1001]),
            ("ad", [{"login": "klee", "employee_id": "1001"}]),
            ("vpn", [{"login": "k7", "employee_id": "001001"}]),
        ],
        [{"k7", "kim", "klee", "w1"}],
    ),
    "but not by a third one that has the number alone": (
        [
            ("hr", [W1_001001]),
            ("okta", [KIM_1001]),
            ("ad", [{"login": "bob", "email": "bob@x.org", "employee_id": "01001"}]),
        ],
        [{"bob"}, {"kim", "w1"}],
    ),
    "the number alone joins nobody": (
        [("hr", [W1_001001 | {"email": "pat@x.org"}]), ("okta", [KIM_1001])],
        [{"kim"}, {"w1"}],
    ),
    "nor where one source has both ids": (
        [
            ("hr", [W1_001001, {"login": "w2", "email": "lee@x.org", "employee_id": "1001"}]),
            ("okta", [KIM_1001]),
        ],
        [{"kim", "w2"}, {"w1"}],
    ),
    "a deleted account with the other id does not count": (
        [
            ("hr", [W1_001001, {"login": "w2", "employee_id": "1001", "status": "deleted"}]),
            ("okta", [KIM_1001]),
        ],
        [{"kim", "w1", "w2"}],
    ),
    "nor ids of letters and digits": (
        [
            ("hr", [W1_001001 | {"employee_id": "0E7A"}]),
            ("okta", [KIM_1001 | {"employee_id": "E7A"}]),
        ],
        [{"kim"}, {"w1"}],
    ),
    "nor by the address of a service account, which is its owner's": (
        [
            ("hr", [W1_001001 | {"email": "other@x.org"}]),
            ("okta", [KIM_1001 | {"login": "kim@x.org"}]),
            (
                "ad",
                [
                    {
                        "login": "svc",
                        "email": "kim@x.org",
                        "employee_id": "001001",
                        "user_type": "service_account",
                    }
                ],
            ),
        ],
        [{"kim@x.org"}, {"svc"}, {"w1"}],
    ),
}


ANCHORS: dict[str, tuple[Imports, Users]] = {
    "an account without an id joins the employee, not another account": (
        [
            ("a", [{"login": "a1", "email": M}]),
            ("b", [{"login": "b1", "email": M}]),
            ("hr", [{"login": "w", "email": M, "employee_id": "101"}]),
        ],
        [{"a1", "b1", "w"}],
    ),
    "an employee joins no other by an address that is shared": (
        [
            ("hr", [{"login": "w1", "email": M, "employee_id": "101"}]),
            ("b", [{"login": "b2", "email": M, "employee_id": "102"}]),
            ("c", [{"login": "c", "email": M}]),
        ],
        [{"b2"}, {"c"}, {"w1"}],
    ),
    "the employee id wins over address and login": (
        [
            ("hr", [{"login": "w1", "email": "one@x.org", "employee_id": "101"}]),
            ("hr2", [{"login": "w2", "email": "two@x.org", "employee_id": "102"}]),
            ("a", [{"login": "w2", "email": "two@x.org", "employee_id": "101"}]),
        ],
        [{"w1", "w2"}, {"w2"}],
    ),
}
ALL = {**IDENTIFIED, **BY_EMPLOYEE_ID, **BY_EMAIL, **PADDED, **ANCHORS}


@pytest.mark.parametrize(("imports", "expected"), ALL.values(), ids=ALL)
def test_who_is_one_user(imports: Imports, expected: Users) -> None:
    given(imports)
    assert users() == sorted(expected, key=sorted)


@pytest.mark.parametrize(
    ("imports", "expected"),
    [*BY_EMPLOYEE_ID.values(), *BY_EMAIL.values(), *PADDED.values(), *ANCHORS.values()],
)
def test_the_same_users_follow_from_the_imports_in_reverse(imports: Imports, expected: Users) -> None:
    given(imports[::-1])
    assert users() == sorted(expected, key=sorted)


def test_what_of_several_accounts_with_one_address_is_left_is_suggested() -> None:
    given(
        [
            ("a", [{"login": "ann", "email": M}, {"login": "bob", "email": M}]),
            ("b", [{"login": "x", "email": M}]),
        ]
    )
    assert suggested() == {"ann", "bob"}


def test_an_account_that_does_not_agree_with_an_address_of_a_gone_one_is_suggested() -> None:
    given(BY_EMAIL["a gone account keeps its address from one of its source that does not agree with it"][0])
    assert suggested() == {"pat"}


def test_what_non_human_accounts_do_not_join_by_their_owners_address_is_no_suggestion() -> None:
    given(BY_EMAIL["nor where one of them is named like the address"][0])
    assert suggested() == set()


OWNED: dict[str, Imports] = {
    "another source": [
        ("a", [{"login": "kim", "employee_id": "7", "user_type": "internal", "mfa_enabled": "false"}]),
        ("b", [{"login": "svc", "employee_id": "7", "user_type": "service_account", "mfa_enabled": "true"}]),
    ],
    "the same file": [
        (
            "a",
            [
                {"login": "kim", "employee_id": "7", "user_type": "internal", "mfa_enabled": "false"},
                {"login": "svc", "employee_id": "7", "user_type": "service_account", "mfa_enabled": "true"},
            ],
        )
    ],
}


def test_a_leaver_whose_id_lost_its_zeros_fails_terminated_active() -> None:
    sync_catalogue()
    load([W1_001001 | {"status": "disabled"}], "hr", "hr")
    load([KIM_1001 | {"status": "active", "user_type": "internal", "created_at": "2020-01-01"}], "okta")
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["terminated-active", "missing-in-hr"])
    assert set(Finding.objects.values_list("check_ref__slug", flat=True)) == {"terminated-active"}


def test_an_account_whose_id_gets_zeros_later_keeps_its_user() -> None:
    load([KIM_1001], "okta")
    load([W1_001001 | {"employee_id": "1001"}], "hr", "hr")
    before = User.objects.get()
    for padded in (KIM_1001 | {"employee_id": "001001"}, KIM_1001):
        load([padded], "okta")
        assert User.objects.get() == before
        assert users() == [{"kim", "w1"}]


def test_ids_that_one_address_made_one_are_two_when_the_address_moves_on() -> None:
    load([W1_001001], "hr", "hr")
    load([KIM_1001], "okta")
    load([KIM_1001 | {"email": "else@x.org"}], "okta")
    assert users() == [{"kim"}, {"w1"}]


@pytest.mark.parametrize("imports", OWNED.values(), ids=OWNED)
def test_a_service_account_with_its_owners_id_leaves_the_checks_of_the_owner_alone(imports: Imports) -> None:
    sync_catalogue()
    given([("hr", [{"login": "w1", "employee_id": "7", "status": "terminated"}])])
    given(
        [
            (slug, [r | {"status": "active", "created_at": "2020-01-01"} for r in rows])
            for slug, rows in imports
        ]
    )
    kim = Account.objects.get(login="kim")
    assert (kim.user.nhi, kim.employee_id_shared) == (False, False)
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa", "terminated-active", "nhi-no-mfa"])
    open_findings = Finding.objects.filter(resolved_at=None)
    assert {(f.check_ref.slug, f.user_id) for f in open_findings} == {
        ("no-mfa", kim.user_id),
        ("terminated-active", kim.user_id),
    }


# --- Joins are undone when later data contradict them ---

JOINED: Imports = [
    ("a", [{"login": "ann", "email": M, "source_key": "k1"}]),
    ("b", [{"login": "b1", "email": M, "source_key": "k9"}]),
]
LATER: dict[str, tuple[Imports, Users]] = {
    "the address moved on": (
        [("b", [{"login": "b1", "email": "else@x.org", "source_key": "k9"}])],
        [{"ann"}, {"b1"}],
    ),
    "the ids differ now": (
        [
            ("a", [{"login": "ann", "email": M, "source_key": "k1", "employee_id": "101"}]),
            ("b", [{"login": "b1", "email": M, "source_key": "k9", "employee_id": "102"}]),
        ],
        [{"ann"}, {"b1"}],
    ),
    "one is a service account now": (
        [
            ("a", [{"login": "ann", "email": M, "source_key": "k1", "user_type": "internal"}]),
            ("b", [{"login": "b1", "email": M, "source_key": "k9", "user_type": "service_account"}]),
        ],
        [{"ann"}, {"b1"}],
    ),
}


@pytest.mark.parametrize(("later", "expected"), LATER.values(), ids=LATER)
def test_a_join_that_the_data_contradict_is_undone(later: Imports, expected: Users) -> None:
    given(JOINED)
    assert users() == [{"ann", "b1"}]
    given(later)
    assert users() == expected


@pytest.mark.parametrize("later", [later for later, _ in LATER.values()], ids=LATER)
def test_but_not_where_a_member_made_it(later: Imports) -> None:
    given(JOINED)
    ann = User.objects.get()
    link_account(Account.objects.get(login="b1"), ann)
    given(later)
    assert users() == [{"ann", "b1"}]


def test_a_finding_stays_with_the_user_who_keeps_the_account_and_an_exclusion_waits_for_a_member() -> None:
    sync_catalogue()
    common = {"status": "active", "mfa_enabled": "false", "created_at": "2020-01-01"}
    given([(source, [row | common for row in rows]) for source, rows in JOINED])
    user = User.objects.get()
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa"])
    exclude_user(Check.objects.get(slug="password-age"), user, reason="leave", until=None, by=None)
    load([common | {"login": "b1", "email": "else@x.org", "source_key": "k9"}], "b")
    ann, b1 = (Account.objects.get(login=login).user for login in ("ann", "b1"))
    assert (ann, b1) == (user, User.objects.exclude(pk=user.pk).get())
    assert Finding.objects.get().user == user
    assert (ann.exclusions.count(), b1.exclusions.count()) == (1, 0)
    assert suggested() == {"b1"}


def test_a_user_stays_with_the_accounts_that_are_not_deleted() -> None:
    """A renamed login of a source without immutable ids is a deleted account and a new one."""
    sync_catalogue()
    load([{"login": "kim.old", "email": M, "status": "active"}], "a", full=True)
    load([{"login": "k1", "email": M, "status": "active"}], "b", full=True)
    user = User.objects.get()
    exclude_user(Check.objects.get(slug="no-mfa"), user, reason="leave", until=None, by=None)
    load([{"login": "kim.new", "email": M, "status": "active"}], "a", full=True, force=True)
    users = {account.login: account.user for account in Account.objects.all()}
    assert (users["k1"], users["kim.new"]) == (user, user)
    assert user.exclusions.count() == 1


RECYCLED: dict[str, tuple[Row, Row]] = {
    "with another employee id": ({"employee_id": "101"}, {"employee_id": "102"}),
    "created after the deletion": ({}, {"created_at": "2999-01-01"}),
}


@pytest.mark.parametrize("key", ["login", "email"])
@pytest.mark.parametrize(("old", "new"), RECYCLED.values(), ids=RECYCLED)
def test_who_has_a_recycled_login_or_address_inherits_nothing(key: str, old: Row, new: Row) -> None:
    sync_catalogue()
    new = dict(new)
    if "created_at" in new:
        new["created_at"] = (timezone.now() + timezone.timedelta(hours=1)).isoformat()
    base = {"login": "ann", "email": M, "status": "active"}
    load([base | {"source_key": "k1"} | old, {"login": "other", "source_key": "k0"}])
    first = Account.objects.get(source_key="k1").user
    assert first is not None
    exclude_user(Check.objects.get(slug="no-mfa"), first, reason="leave", until=None, by=None)
    load([{"login": "other", "source_key": "k0"}], full=True, force=True)
    again = {"login": "other2" if key == "email" else "ann", "email": M if key == "email" else "z@x.org"}
    load([again | {"source_key": "k2", "status": "active"} | new])
    second = Account.objects.get(source_key="k2").user
    assert second is not None
    assert second != first
    assert second.exclusions.count() == 0


def test_who_has_a_recycled_employee_id_inherits_nothing() -> None:
    old = {"login": "ann", "email": M, "employee_id": "101", "source_key": "k1", "status": "active"}
    other = {"login": "other", "source_key": "k0"}
    load([old, other])
    load([other], full=True, force=True)
    later = (timezone.now() + timezone.timedelta(hours=1)).isoformat()
    load([old | {"login": "zed", "email": "z@x.org", "source_key": "k2", "created_at": later}])
    first, second = (Account.objects.get(source_key=key).user for key in ("k1", "k2"))
    assert first is not None
    assert second not in (None, first)


# --- An employee id that changes where no immutable id proves that it is the same account ---

KIM = {"login": "kim", "email": "kim@x.org", "employee_id": "101", "display_name": "Kim A"}
RENAMED = KIM | {"login": "kim.a", "email": "kim.a@x.org"}
NEWCOMER = KIM | {"employee_id": "102", "display_name": "Kim B"}
OF_HR = ("hr", [{"login": "w1", "employee_id": "101"}])
# The imports after the first one of KIM, and the logins of the accounts that belong to the first user then.
ID_CHANGES: dict[str, tuple[Imports, set[str]]] = {
    "renamed, then a newcomer with the login": ([("a", [RENAMED]), ("a", [RENAMED, NEWCOMER])], {"kim.a"}),
    "renamed and a newcomer in one file": ([("a", [RENAMED, NEWCOMER])], {"kim.a"}),
    "with a record of HR": ([OF_HR, ("a", [RENAMED, NEWCOMER])], {"kim.a", "w1"}),
    "HR has the id alone": ([OF_HR, ("a", [NEWCOMER])], {"w1"}),
    "another source has the id": (
        [("b", [{"login": "b1", "employee_id": "101"}]), ("a", [NEWCOMER])],
        {"b1"},
    ),
    "an account without an id that has the newcomer's address": (
        [("b", [{"login": "b1", "email": "kim@x.org"}]), ("a", [RENAMED, NEWCOMER])],
        {"kim.a"},
    ),
    "the renamed account left since": (
        [("a", [RENAMED]), ("a", [{"login": "other"}]), ("a", [NEWCOMER])],
        {"kim.a"},
    ),
    "the newcomer joins a user of another source": (
        [("b", [{"login": "b2", "employee_id": "102"}]), ("a", [RENAMED, NEWCOMER])],
        {"kim.a"},
    ),
    "the renamed account had no id before": (
        [("a", [KIM, RENAMED | {"employee_id": ""}]), ("a", [RENAMED, NEWCOMER])],
        {"kim.a"},
    ),
    "a correction: nobody else has the former id": ([("a", [KIM | {"employee_id": "102"}])], {"kim"}),
    "a correction to the id of HR": (
        [("hr", [{"login": "w2", "employee_id": "102"}]), ("a", [KIM | {"employee_id": "102"}])],
        {"kim", "w2"},
    ),
}


def full(imports: Imports) -> None:
    for source, rows in imports:
        kind = "hr" if source == "hr" else "identity"
        load([r | {"status": "active"} for r in rows], source, kind, full=True, force=True)


@pytest.mark.parametrize(("later", "expected"), ID_CHANGES.values(), ids=ID_CHANGES)
def test_a_user_stays_with_the_former_employee_id_if_another_account_has_it(
    later: Imports, expected: set[str]
) -> None:
    sync_catalogue()
    full([("a", [KIM | {"mfa_enabled": "false", "created_at": "2020-01-01"}])])
    first = User.objects.get()
    run_checks(trigger=Run.Trigger.COMMAND, slugs=["no-mfa"])
    exclude_user(Check.objects.get(slug="password-age"), first, reason="leave", until=None, by=None)
    full(later)
    assert set(first.accounts.values_list("login", flat=True)) == expected
    assert first.exclusions.count() == 1
    assert Finding.objects.get().user == first


@pytest.mark.parametrize("joined", [True, False], ids=["joined", "set apart"])
def test_but_not_where_a_member_decided_about_the_account(joined: bool) -> None:
    full([("a", [KIM]), ("b", [{"login": "b1"}])])
    kim = Account.objects.get(login="kim")
    if joined:
        link_account(kim, Account.objects.get(login="b1").user)
    else:
        unlink_account(kim)
    user = Account.objects.get(login="kim").user
    full([("a", [RENAMED, NEWCOMER])])
    assert Account.objects.get(login="kim").user == user


def test_nor_where_the_immutable_id_proves_that_it_is_the_same_account() -> None:
    full([("a", [KIM | {"source_key": "k1"}]), OF_HR])
    user = Account.objects.get(login="kim").user
    full([("a", [NEWCOMER | {"source_key": "k1"}])])
    assert Account.objects.get(login="kim").user == user
    assert users() == [{"kim"}, {"w1"}]


def test_a_service_account_keeps_its_user_when_its_owner_changes() -> None:
    owned = {"login": "svc", "user_type": "service_account", "employee_id": "101"}
    full([("a", [KIM, NEWCOMER | {"login": "lee"}, owned])])
    user = Account.objects.get(login="svc").user
    full([("a", [RENAMED, NEWCOMER | {"login": "lee"}, owned | {"employee_id": "102"}])])
    assert Account.objects.get(login="svc").user == user
    assert users() == [{"kim", "kim.a"}, {"lee"}, {"svc"}]


# --- Decisions and deleted sources have their neighbours joined again ---

TWO_FIT: Imports = [
    ("hr1", [{"login": "w1", "email": M, "employee_id": "101"}]),
    ("hr2", [{"login": "w2", "email": M, "employee_id": "102"}]),
    ("a", [{"login": "ann", "email": M}]),
]


def test_without_a_deleted_source_its_neighbours_are_joined() -> None:
    given(TWO_FIT)
    assert users() == [{"ann"}, {"w1"}, {"w2"}]
    delete_source(Source.objects.get(slug="hr2"))
    assert users() == [{"ann", "w1"}, {"w2"}]
    assert suggested() == set()
    assert Account.objects.get(login="ann").user.in_hr is True


def test_a_deleted_source_leaves_the_users_that_follow_without_it() -> None:
    given(TWO_FIT)
    delete_source(Source.objects.get(slug="hr2"))
    left = users()
    # The same as where its accounts were deleted before the others came.
    Account.objects.all().delete()
    User.objects.all().delete()
    given([TWO_FIT[1]])
    delete_source(Source.objects.get(slug="hr2"))
    given([TWO_FIT[0], TWO_FIT[2]])
    assert users() == left


def test_linking_has_the_neighbours_joined_again() -> None:
    given([("a", [{"login": "a", "email": M}]), ("b", [{"login": "b", "email": M}]), ("c", [{"login": "c"}])])
    assert users() == [{"a", "b"}, {"c"}]
    link_account(Account.objects.get(login="a"), Account.objects.get(login="c").user)
    # b has the address of an account that a member joined with c.
    assert users() == [{"a", "b", "c"}]
    assert User.objects.filter(accounts=None).count() == 0


def test_unlinking_has_the_neighbours_joined_again() -> None:
    given(TWO_FIT)
    unlink_account(Account.objects.get(login="w2"))
    # Of the two who fit a member set one apart: the other is left.
    assert users() == [{"ann", "w1"}, {"w2"}]
    assert suggested() == set()


def test_a_later_import_changes_nothing_of_what_was_joined_again() -> None:
    given(TWO_FIT)
    unlink_account(Account.objects.get(login="w2"))
    before = users()
    given(TWO_FIT)
    assert users() == before
