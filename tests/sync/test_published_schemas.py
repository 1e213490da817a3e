"""Each request of a source and each answer of its scripted server, as the vendor publishes them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from checks.services import add_source
from cii_project.tools.demo import sample_exports
from cii_project.tools.demo.live_sources import scripted_okta
from cii_project.tools.scripted_sources.entra import SECRET, ScriptedEntra, entra_user, graph_error
from cii_project.tools.scripted_sources.github import ScriptedGitHub, github_error
from cii_project.tools.scripted_sources.google import ScriptedGoogle, google_user
from cii_project.tools.scripted_sources.okta import (
    ScriptedOkta,
    okta_error,
    okta_event,
    okta_factor,
    okta_user,
)
from cii_project.tools.scripted_sources.server import Answer, Asked, ScriptedServer, json_answer
from integrations.models import Sync
from integrations.services import probe_connection, save_connection, source_settings
from integrations.source_data import SourceFault
from integrations.sources import API_SOURCES
from integrations.sources.okta.kind import FACTOR_KINDS
from tests.sync import test_entra, test_github, test_google
from tests.sync.published import (
    AnswerDiffers,
    answers_match,
    operation,
    published,
    record_exchanges,
    request_matches,
)
from tests.sync.published_graphql import graphql_matches
from tests.sync.worlds import account, connect, serving, sync

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()

# Compared with ``graphql`` of the document.
GRAPHQL = "/graphql"


@dataclass(frozen=True)
class Vendor:
    """``provider``: a small organization with one of everything that is read. ``document``: the settings of a source that
    reads all of it from an address. ``errors``: the statuses that ``error`` answers. ``change`` makes the changes that only
    another call lists. ``accepted``: the differences, each where the vendor's other documentation differs from its schemas.
    ``standard``: paths that a standard describes and no schema of the vendor does."""

    provider: Callable[[], Any]
    document: Callable[[str], Mapping[str, Any]]
    errors: tuple[int, ...] = ()
    error: Callable[[int], Answer] = Answer
    change: Callable[[Any], None] = lambda provider: None
    accepted: list[str] = field(default_factory=list)
    standard: tuple[str, ...] = ()


# Each type of factor that Okta publishes a schema for, with each of its providers.
OKTA_FACTORS = [
    okta_factor("call", phoneNumber="+15550101"),
    okta_factor("email", email="ann.ames@example.com"),
    okta_factor("push", credentialId="ann.ames@example.com", deviceType="SmartPhone_IPhone", platform="IOS"),
    okta_factor("question", question="first_award"),
    okta_factor("sms", phoneNumber="+15550100"),
    okta_factor("token", credentialId="1"),
    okta_factor("token", provider="SYMANTEC", credentialId="2"),
    okta_factor("token:hardware", credentialId="3"),
    okta_factor("token:hotp"),
    okta_factor("token:software:totp", credentialId="ann.ames@example.com"),
    okta_factor("token:software:totp", provider="GOOGLE", credentialId="ann.ames@example.com"),
    okta_factor("u2f", credentialId="key-1"),
    okta_factor("web", credentialId="ann.ames@example.com"),
    okta_factor("webauthn", credentialId="key-2", authenticatorName="Key of Ann"),
]
OKTA_STATES = ("ACTIVE", "STAGED", "PROVISIONED", "RECOVERY", "LOCKED_OUT", "PASSWORD_EXPIRED", "SUSPENDED")


def okta_organization(**values: Any) -> ScriptedOkta:
    users = [
        okta_user("00u1", "ann.ames@example.com", profile={"department": "Finance", "staffNumber": "1001"}),
        okta_user("00u2", "bob@example.com", lastLogin=None, passwordChanged=None, activated=None),
        okta_user("00u3", "cem.cole@example.com", status="STAGED", transitioningToStatus="ACTIVE"),
        okta_user("00u4", "dee.dorn@example.com", status="DEPROVISIONED"),
        *(
            okta_user(f"00u9{place}", f"u{place}@example.com", status=each)
            for place, each in enumerate(OKTA_STATES)
        ),
    ]
    return ScriptedOkta(
        users={each["id"]: each for each in users},
        factors={"00u1": OKTA_FACTORS, "00u2": [okta_factor("push", status="PENDING_ACTIVATION")]},
        roles={
            "00u1": ["SUPER_ADMIN", "Help desk of Berlin"],
            "00u2": ["READ_ONLY_ADMIN"],
            "00u3": ["APP_ADMIN"],
        },
        groups={
            "00g0": ("Everyone", ["00u1", "00u2", "00u3"]),
            "00g1": ("Payroll", ["00u1", "00u2", "00u3"]),
            "00g2": ("Sales", []),
        },
        apps={
            "0oa1": ("Payroll", ["00u1", "00u2", "00u3"]),
            "0oa2": ("Wiki", ["00u1"]),
            "0oa3": ("Mail", []),
        },
        page=2,
        log_page=2,
        public_key=KEY.public_key(),
        nonce="nonce-of-the-server",
        **values,
    )


def change_okta(okta: ScriptedOkta) -> None:
    for kind in ("activate", "deactivate", "reset_all", "suspend", "unsuspend", "update"):
        okta.events.append(okta_event("00u1", f"user.mfa.factor.{kind}"))


VENDORS = {
    "okta": Vendor(
        okta_organization,
        lambda url: {
            "url": url,
            "authorization": "service_app",
            "client_id": ScriptedOkta.client_id,
            "private_key": PEM,
            "passes": {"groups": True, "applications": True, "changes": True},
        },
        (400, 401, 403, 404, 429, 500),
        okta_error,
        change_okta,
        # A token that is bound to a key is of this type: developer.okta.com/docs/guides/dpop and RFC 9449 §5.
        ["POST /oauth2/v1/token 200:\n  $.token_type: 'DPoP' is not one of ['Bearer', 'N_A']"],
    ),
    "google": Vendor(
        lambda: test_google.customer(page=2),
        lambda url: {
            "service_account": test_google.key_file(),
            "admin": ScriptedGoogle.admin,
            "addresses": {"token": f"{url}/token", "api": url},
            "passes": test_google.ALL_PASSES,
        },
        standard=("/token",),
    ),
    "entra": Vendor(
        lambda: test_entra.tenant(page=2),
        lambda url: {
            "tenant": ScriptedEntra.tenant,
            "client_id": ScriptedEntra.client_id,
            "client_secret": SECRET,
            "addresses": {"login": url, "graph": url},
            "passes": {"sign_ins": True, "factors": True, "groups": True},
        },
        (400, 401, 403, 404, 429, 503),
        graph_error,
        standard=(f"/{ScriptedEntra.tenant}/oauth2/v2.0/token",),
    ),
    "github": Vendor(
        lambda: test_github.organization(
            page=2, saml={1: ("ann.ames@example.com", None), -5: ("left@example.com", "left")}
        ),
        lambda url: {
            "organization": ScriptedGitHub.organization,
            "authorization": "app",
            "app_id": ScriptedGitHub.app_id,
            "installation_id": ScriptedGitHub.installation_id,
            "private_key": test_github.PEM,
            "url": url,
            "passes": {"identities": True, "groups": True},
        },
        (401, 403, 404),
        github_error,
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", VENDORS)
def test_a_sync_asks_and_is_answered_as_published(kind):
    vendor, document = VENDORS[kind], published(kind)
    provider = vendor.provider()
    exchanges = record_exchanges(provider)
    add_source(slug=kind, name=kind, kind="identity", provider=kind.upper())
    with ScriptedServer(provider) as server:
        connection, _ = save_connection(slug=kind, kind=kind, document=vendor.document(server.url))
        probe_connection(connection)
        first = sync(connection)
        vendor.change(provider)
        second = sync(connection)

    assert (first.state, first.error) == (Sync.State.SUCCEEDED, "")
    assert (second.state, second.error) == (Sync.State.SUCCEEDED, "")
    exchanges = [each for each in exchanges if each[0].path not in vendor.standard]
    assert differences(document, exchanges) == vendor.accepted
    rest = [each for each, _ in exchanges if each.path != GRAPHQL]
    asked = {(operation(document, each.path, each.method)[0], each.method.lower()) for each in rest}
    assert asked == {(path, method) for path in document["paths"] for method in document["paths"][path]}


def differences(document: Mapping[str, Any], exchanges: list[tuple[Asked, Answer]]) -> list[str]:
    """What of these exchanges is not as published, each text once."""
    found: dict[str, None] = {}
    for asked, answer in exchanges:
        try:
            if asked.path == GRAPHQL:
                graphql_matches(document, asked, answer)
                continue
            request_matches(document, asked)
            answers_match(document, asked.path, asked.method, answer)
        except AnswerDiffers as error:
            found[str(error)] = None
    return list(found)


@pytest.mark.parametrize(
    ("kind", "status"), [(kind, status) for kind, vendor in VENDORS.items() for status in vendor.errors]
)
def test_an_error_is_as_published(kind, status):
    document = published(kind)
    answer = VENDORS[kind].error(status)
    assert answer.status == status
    answering = [
        (path, method)
        for path, operations in document["paths"].items()
        for method, each in operations.items()
        if str(status) in each["responses"] and not path.startswith("/oauth2/")
    ]
    assert answering
    for path, method in answering:
        answers_match(document, path, method, answer)


@pytest.mark.django_db(transaction=True)
def test_okta_refuses_a_token_as_published():
    okta = okta_organization(ungranted=("okta.logs.read",))
    exchanges = record_exchanges(okta)
    add_source(slug="okta", name="Okta", kind="identity", provider="OKTA")
    with ScriptedServer(okta) as server:
        document = VENDORS["okta"].document(server.url)
        connection, _ = save_connection(slug="okta", kind="okta", document=document)
        probe_connection(connection)
        okta.public_key = None
        with pytest.raises(SourceFault):
            API_SOURCES["okta"].fetch_token(source_settings(connection))

    assert differences(published("okta"), exchanges) == VENDORS["okta"].accepted
    texts = {json.loads(answer.body).get("error") for asked, answer in exchanges if asked.method == "POST"}
    assert texts >= {"invalid_dpop_proof", "use_dpop_nonce", "invalid_scope", "invalid_client"}


@pytest.mark.django_db(transaction=True)
def test_okta_s_reader_knows_each_published_status_and_type_of_factor():
    schemas = published("okta")["components"]["schemas"]
    states, factor_states = schemas["UserStatus"]["enum"], schemas["UserFactorStatus"]["enum"]
    users = [okta_user(f"00u{each}", f"{each.lower()}@example.com", status=each) for each in states]
    users += [okta_user(f"00f{each}", f"factor-{each.lower()}@example.com") for each in factor_states]
    factors = {f"00f{each}": [okta_factor("push", status=each)] for each in factor_states}
    with serving(ScriptedOkta(users={each["id"]: each for each in users}, factors=factors)) as server:
        done = sync(connect(server))

    assert done.state == Sync.State.SUCCEEDED
    assert {each: account(f"{each.lower()}@example.com").status for each in states} == {
        each: each.lower() for each in states
    }
    with_mfa = {each for each in factor_states if account(f"factor-{each.lower()}@example.com").mfa}
    assert with_mfa == {"ACTIVE", "ENROLLED"}
    assert {*FACTOR_KINDS, "token"} == set(schemas["UserFactorType"]["enum"])


def test_the_demonstration_s_okta_answers_as_published():
    """Its users, factors and roles are those of the sample's records."""
    records = sample_exports.build(datetime(2026, 7, 1, tzinfo=UTC), users=100)
    okta = scripted_okta(records["okta"])
    exchanges = record_exchanges(okta)
    paths = [USERS, "/api/v1/iam/assignees/users", "/api/v1/groups"]
    paths += [f"{USERS}/{key}/{each}" for key in okta.users for each in ("factors", "roles")]
    paths += [f"/api/v1/groups/{key}/users" for key in okta.groups]
    for number, path in enumerate(paths):
        okta.answer(Asked(number, "GET", path, {}, {"Authorization": f"SSWS {okta.token}"}, b""))

    assert {answer.status for _, answer in exchanges} == {200}
    assert differences(published("okta"), exchanges) == []


USERS = "/api/v1/users"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"id": 7}, "$[0].id: 7 is not of type 'string'"),
        ({"created": "yesterday"}, "$[0].created: 'yesterday' is not a 'date-time'"),
        ({"created": None}, "$[0].created: None is not of type 'string'"),
        ({"status": "GONE"}, "$[0].status: 'GONE' is not one of"),
        ({"nickname": "Ann"}, "$[0]: Unevaluated properties are not allowed ('nickname' was unexpected)"),
        ({"profile": {"login": 7}}, "$[0].profile.login: 7 is not of type 'string'"),
        (
            {"type": {"id": "oty1", "title": ""}},
            "$[0].type: Unevaluated properties are not allowed ('title' was",
        ),
    ],
    ids=["type", "time", "null", "value", "property", "profile", "inner property"],
)
def test_an_answer_that_is_not_as_published_is_refused(change, text):
    user = okta_user("00u1", "ann.ames@example.com")
    answers_match(published("okta"), USERS, "GET", json_answer([user]))
    with pytest.raises(AnswerDiffers) as refused:
        answers_match(published("okta"), USERS, "GET", json_answer([user | change]))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (okta_factor("webauthn", provider="DUO"), "$[0].provider: 'DUO' is not one of ['FIDO']"),
        (okta_factor("sms", phoneNumber="5550100"), "$[0].profile.phoneNumber: '5550100' does not match"),
        (okta_factor("sms", credentialId="1"), "$[0].profile: Unevaluated properties are not allowed"),
        (okta_factor("question", answer="blue"), "$[0].profile.answer: 'blue' should not be valid under"),
        (okta_factor("retina_scan"), "$[0].factorType: 'retina_scan' is not one of"),
    ],
    ids=lambda value: value.get("factorType", "") if isinstance(value, dict) else "",
)
def test_a_factor_has_the_schema_of_its_type(factor, text):
    with pytest.raises(AnswerDiffers) as refused:
        answers_match(published("okta"), "/api/v1/users/00u1/factors", "GET", json_answer([factor]))
    assert text in str(refused.value)


def test_fastpass_is_a_published_type_of_factor_without_a_schema():
    """``signed_nonce`` is no choice of the listing, so it is compared with what all factors have."""
    document = published("okta")
    listing = document["paths"]["/api/v1/users/{userId}/factors"]["get"]["responses"]["200"]
    choices = listing["content"]["application/json"]["schema"]["items"]["discriminator"]["mapping"]
    assert set(choices) == {each["factorType"] for each in OKTA_FACTORS}
    assert set(document["components"]["schemas"]["UserFactorType"]["enum"]) == {*choices, "signed_nonce"}

    response = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/UserFactor"}}}}
    factors = {"get": {"parameters": [], "responses": {"200": response}}}
    answers_match(
        {**document, "paths": {"/factor": factors}},
        "/factor",
        "GET",
        json_answer(okta_factor("signed_nonce")),
    )


@pytest.mark.parametrize(
    ("path", "query", "text"),
    [
        ("/api/v1/people", {}, "GET /api/v1/people is not published."),
        (USERS, {"size": "200"}, "GET /api/v1/users: parameter size is not published."),
        ("/api/v1/apps", {"limit": "201"}, "GET /api/v1/apps: parameter limit: 201 is greater than"),
        (
            "/api/v1/apps",
            {"limit": "all"},
            "GET /api/v1/apps: parameter limit: 'all' is not of type 'integer'",
        ),
        ("/api/v1/logs", {"sortOrder": "UP"}, "GET /api/v1/logs: parameter sortOrder: 'UP' is not one of"),
    ],
)
def test_a_request_that_is_not_as_published_is_refused(path, query, text):
    with pytest.raises(AnswerDiffers) as refused:
        request_matches(published("okta"), Asked(1, "GET", path, query, {}, b""))
    assert text in str(refused.value)


def test_a_status_that_is_not_published_is_refused():
    with pytest.raises(AnswerDiffers, match="GET /api/v1/users: status 418 is not published"):
        answers_match(published("okta"), USERS, "GET", json_answer([], 418))


def google_users(**values: Any) -> Answer:
    user = google_user("101", "ann.ames@example.com", **values)
    return json_answer({"kind": "admin#directory#users", "users": [user]})


def graph_users(**values: Any) -> Answer:
    users = [entra_user("u1", "ann.ames@contoso.com", **values)]
    return json_answer({"@odata.context": "https://graph.example.com/v1.0/$metadata#users", "value": users})


def github_teams(**values: Any) -> Answer:
    team = ScriptedGitHub(teams={"core": ("Core", [])})._team(1, "core")
    return json_answer([team | values])


LISTS = {
    "google": ("/admin/directory/v1/users", google_users),
    "entra": ("/v1.0/users", graph_users),
    "github": ("/orgs/example-inc/teams", github_teams),
}


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        ("google", {"isAdmin": "yes"}, "isAdmin: 'yes' is not of type 'boolean'"),
        ("google", {"kind": "user"}, "kind: 'user' is not one of ['admin#directory#user']"),
        ("google", {"lastLoginTime": "2026-11-20"}, "lastLoginTime: '2026-11-20' is not a 'date-time'"),
        ("google", {"emails": [{"mail": "a@example.com"}]}, "emails[0]: Unevaluated properties"),
        ("google", {"twoStep": True}, "Unevaluated properties are not allowed ('twoStep' was unexpected)"),
        ("entra", {"accountEnabled": "true"}, "accountEnabled: 'true' is not of type 'boolean'"),
        ("entra", {"id": None}, "id: None is not of type 'string'"),
        ("entra", {"signInActivity": {"last": "2026-11-20T08:30:00Z"}}, "('last' was unexpected)"),
        ("entra", {"manager": {"id": "u2"}}, "manager: '@odata.type' is a required property"),
        ("entra", {"isAdmin": True}, "Unevaluated properties are not allowed ('isAdmin' was unexpected)"),
        ("github", {"id": "1"}, "id: '1' is not of type 'integer'"),
        ("github", {"type": "company"}, "type: 'company' is not one of ['enterprise', 'organization']"),
        ("github", {"members": []}, "('members' was unexpected)"),
    ],
)
def test_a_list_that_is_not_as_its_vendor_publishes_it_is_refused(kind, change, text):
    path, answer = LISTS[kind]
    answers_match(published(kind), path, "GET", answer())
    with pytest.raises(AnswerDiffers) as refused:
        answers_match(published(kind), path, "GET", answer(**change))
    assert text in str(refused.value)
