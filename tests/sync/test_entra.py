"""Microsoft Entra ID: profiles, sign-ins, methods and roles, from Graph's documented answers to accounts."""

import pytest

from checks.models import Account, SourceFreshness
from checks.services import add_source
from cii_project.tools.scripted_sources.entra import SECRET, ScriptedEntra, entra_user, graph_error
from cii_project.tools.scripted_sources.server import ScriptedServer, json_answer
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from integrations.sources.entra.kind import registration_of, sign_in_of, user_of
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.django_db(transaction=True)


def tenant(**values):
    """Ann reports to Bob, both with methods; Gil is a guest who has not accepted; Dee is disabled."""
    return ScriptedEntra(
        users={
            each["id"]: each
            for each in (
                entra_user("u-ann", "ann.ames@contoso.com", department="Finance", employeeId="1001"),
                entra_user("u-bob", "bob.bell@contoso.com", passwordPolicies="DisablePasswordExpiration"),
                entra_user(
                    "u-gil",
                    "gil_x.org#EXT#@contoso.com",
                    userType="Guest",
                    externalUserState="PendingAcceptance",
                ),
                entra_user("u-dee", "dee.dorn@contoso.com", accountEnabled=False),
            )
        },
        managers={"u-ann": "u-bob"},
        methods={"u-ann": ["microsoftAuthenticatorPush", "email"], "u-bob": ["email", "securityQuestion"]},
        roles={"Global Administrator": ["u-ann"], "Reports Reader": ["g-readers"]},
        groups={"g-readers": ("Readers", ["u-bob", "u-gil"])},
        **values,
    )


def connect(server, **document):
    provider = server.provider
    add_source(slug="entra", name="Entra", kind="identity", provider="ENTRA")
    settings = {
        "tenant": provider.tenant,
        "client_id": provider.client_id,
        "client_secret": SECRET,
        "addresses": {"login": server.url, "graph": server.url},
        "passes": {"sign_ins": True, "factors": True, "groups": True},
    }
    return save_connection(slug="entra", kind="entra", document=settings | document)[0]


def test_a_sync_brings_profiles_sign_ins_methods_roles_and_groups():
    with ScriptedServer(tenant()) as server:
        done = sync(connect(server))

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    ann, bob, dee = (account(f"{name}@contoso.com") for name in ("ann.ames", "bob.bell", "dee.dorn"))
    assert (ann.department, ann.employee_id, ann.manager, bob.manager) == (
        "Finance",
        "1001",
        "bob.bell@contoso.com",
        "",
    )
    assert (ann.mfa, ann.admin_roles) == (True, ["Global Administrator"])
    assert (bob.mfa, bob.admin_roles, bob.password_never_expires) == (False, ["Reports Reader"], True)
    assert (ann.last_sign_in_at.day, ann.password_never_expires) == (20, False)
    assert (dee.status, dee.mfa, dee.mfa_factors) == ("disabled", None, None)
    assert account("gil_x.org#EXT#@contoso.com").status == "staged"
    assert account("gil_x.org#EXT#@contoso.com").groups == ["Readers"]


def test_lists_are_followed_page_by_page_also_where_a_page_is_empty():
    with ScriptedServer(tenant(page=1)) as server:
        connection = connect(server)

        def empty_once(asked):
            if asked.path == "/v1.0/users" and asked.query.get("$skiptoken") == "2" and not seen:
                seen.append(asked)
                link = f"{server.url}/v1.0/users?$select=id,userPrincipalName&$skiptoken=2&again=1"
                return graph_page([], link)
            return None

        seen: list[object] = []
        server.disturb = empty_once
        done = sync(connection)

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 4)


def graph_page(value, link):
    return json_answer({"value": value, "@odata.nextLink": link})


def test_without_a_licence_sign_ins_and_methods_are_unknown_and_the_test_says_so():
    with ScriptedServer(tenant(licensed=False)) as server:
        connection = connect(server)
        states = {each.name: str(each.state) for each in probe_connection(connection).permissions}
        done = sync(connection)

    assert states["Sign-ins"] == states["Authentication methods"] == "unlicensed"
    assert done.state == Sync.State.PARTIAL
    assert {(each.mfa, each.last_sign_in_known) for each in Account.objects.all()} == {(None, False)}
    assert not SourceFreshness.objects.filter(group__in=("factors", "sign_in")).exists()


def test_a_wrong_secret_is_said_without_the_ids_of_the_request():
    with ScriptedServer(tenant()) as server:
        done = sync(connect(server, client_secret="wrong~secret~0123456789"))

    assert done.state == Sync.State.FAILED
    assert "AADSTS7000215: Invalid client secret provided" in done.error
    assert "Trace ID" not in done.error


def test_a_token_that_was_revoked_is_fetched_again_once():
    with ScriptedServer(tenant()) as server:
        connection = connect(server)
        sync(connection)
        server.provider.access_tokens.clear()
        done = sync(connection)

    assert done.state == Sync.State.SUCCEEDED
    assert len([path for path in server.paths() if path.endswith("/token")]) == 2


@pytest.mark.parametrize("status", [403, 429, 500])
def test_a_fault_of_one_list_leaves_the_others_their_values(status):
    with ScriptedServer(tenant()) as server:
        connection = connect(server)
        sync(connection)
        before = list(Account.objects.order_by("pk").values_list("mfa", "last_sign_in_at"))
        headers = {"Retry-After": "1"} if status == 429 else {}
        failing = iter([True, True]) if status == 429 else iter([True] * 50)
        server.disturb = lambda asked: (
            graph_error(status, headers=headers)
            if "/reports/" in asked.path and next(failing, False)
            else None
        )
        done = sync(connection)

    assert done.state == (Sync.State.SUCCEEDED if status == 429 else Sync.State.PARTIAL)
    assert list(Account.objects.order_by("pk").values_list("mfa", "last_sign_in_at")) == before


# --- Words and sentinels --------------------------------------------------------------------------------

SUCCESS, SIGN_IN, REFRESH = (
    "lastSuccessfulSignInDateTime",
    "lastSignInDateTime",
    "lastNonInteractiveSignInDateTime",
)


@pytest.mark.parametrize(
    ("activity", "created", "expected"),
    [
        (
            {SUCCESS: "2026-11-20T08:30:00Z", SIGN_IN: "2026-11-21T08:30:00Z"},
            "2024-01-01",
            "2026-11-20T08:30:00Z",
        ),
        (
            {SUCCESS: None, SIGN_IN: "2023-01-01T00:00:00Z", REFRESH: "2023-02-01T00:00:00Z"},
            "2020-01-01",
            "2023-02-01T00:00:00Z",
        ),
        ({SUCCESS: "0001-01-01T00:00:00Z", SIGN_IN: "0001-01-01T00:00:00Z"}, "2024-01-01", None),
        (None, "2024-01-01T00:00:00Z", None),
        (None, "2019-01-01T00:00:00Z", ...),
    ],
    ids=[
        "success",
        "attempts before 2023-12",
        "never",
        "absent and young",
        "absent and older than the records",
    ],
)
def test_the_last_sign_in(activity, created, expected):
    user = {"id": "u", "createdDateTime": created} | ({"signInActivity": activity} if activity else {})
    assert sign_in_of(user).get("last_sign_in_at", ...) == expected


def test_what_graph_leaves_out_is_unknown_and_what_is_null_is_none():
    assert user_of({"id": "u", "userPrincipalName": "ann@contoso.com", "department": None}, {}) == {
        "source_key": "u",
        "login": "ann@contoso.com",
        "department": None,
        "manager": "",
    }


def test_a_user_without_methods_is_known_to_have_none():
    assert registration_of({"id": "u", "methodsRegistered": [], "isMfaRegistered": False}) == {
        "source_key": "u",
        "mfa_factors": [],
    }
