"""The vendors' real hosts, paths, clouds and token endpoints, mocked at the transport's adapter."""

import base64
import json

import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from responses import matchers
from trustme import CA, KeyType

from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources import API_SOURCES
from integrations.transport.session import TransportAdapter

TOKEN = {"access_token": "t0ken-of-the-vendor", "token_type": "Bearer", "expires_in": 3600}
CLIENT = "11112222-bbbb-3333-cccc-4444dddd5555"


@pytest.fixture
def vendor():
    with responses.RequestsMock(target=f"{TransportAdapter.__module__}.TransportAdapter.send") as mocked:
        yield mocked


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


def decoded(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def assertion_of(call, field="client_assertion"):
    """Head, claims, signed text and signature of the assertion in a request."""
    form = dict(pair.split("=", 1) for pair in call.request.body.split("&"))
    head, claims, signature = form[field].split(".")
    text = f"{head}.{claims}".encode()
    return decoded(head), decoded(claims), text, base64.urlsafe_b64decode(signature + "==")


def okta(url="https://example.okta.com", **settings):
    values = {
        "url": url,
        "authorization": "service_app",
        "client_id": "0oa1client",
        "key_id": "kid-1",
        **settings,
    }
    return SourceSettings(1, "okta", "okta", values, {})


def entra(secrets=None, **settings):
    values = {
        "tenant": "contoso.com",
        "client_id": CLIENT,
        "authorization": "client_secret",
        "cloud": "global",
    }
    return SourceSettings(
        2, "entra", "entra", values | settings, secrets or {"client_secret": "s3cret~value"}
    )


def test_okta_gets_an_assertion_that_its_public_key_verifies(vendor, key):
    vendor.post("https://example.okta.com/oauth2/v1/token", json=TOKEN)
    source = okta(passes={"groups": True})
    source = SourceSettings(source.id, source.slug, source.kind, source.settings, {"private_key": pem(key)})
    assert API_SOURCES["okta"].fetch_token(source).text == TOKEN["access_token"]
    head, claims, text, signature = assertion_of(vendor.calls[0])
    key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    assert (head["alg"], head["kid"]) == ("RS256", "kid-1")
    assert (claims["iss"], claims["sub"], claims["aud"]) == (
        "0oa1client",
        "0oa1client",
        "https://example.okta.com/oauth2/v1/token",
    )
    assert claims["exp"] - claims["iat"] <= 300
    assert "scope=okta.users.read+okta.roles.read+okta.groups.read&" in vendor.calls[0].request.body


@pytest.mark.parametrize(
    "host", ["example.okta.com", "example.oktapreview.com", "example.okta-emea.com", "id.example.com"]
)
def test_okta_lists_users_at_the_address_of_the_organization(vendor, host):
    vendor.get(
        f"https://{host}/api/v1/users",
        json=[{"id": "00u1", "status": "ACTIVE", "profile": {"login": "ann@example.com"}}],
        headers={"Link": f'<https://{host}/api/v1/users?after=00u1>; rel="next"', "X-Rate-Limit-Limit": "600",
                 "X-Rate-Limit-Remaining": "599", "X-Rate-Limit-Reset": "1900000000"},
        match=[matchers.query_param_matcher({"search": "status pr", "sortBy": "id", "limit": "200"}),
               matchers.header_matcher({"Authorization": "SSWS 00token"})],
    )  # fmt: skip
    kind, source = API_SOURCES["okta"], okta(f"https://{host}", authorization="api_token")
    source = SourceSettings(source.id, source.slug, source.kind, source.settings, {"api_token": "00token"})
    page = kind.fetch(kind.listing, kind.call(source, kind.auth(source, None)), None)
    assert page.next_cursor == {"url": f"https://{host}/api/v1/users?after=00u1"}
    assert page.rates["users"].limit == 600


def test_okta_reads_its_log_in_a_bounded_request_and_follows_its_pages(vendor):
    url = "https://example.okta.com/api/v1/logs"
    period = {"since": "2026-11-28T04:00:00.000Z", "until": "2026-11-29T05:00:00.000Z"}
    asked = {
        **period, "filter": 'eventType sw "user.mfa.factor."', "sortOrder": "ASCENDING", "limit": "1000",
    }  # fmt: skip
    target = [{"id": "00u1", "type": "User"}, {"id": "opf1", "type": "AuthenticatorEnrollment"}]
    event = {"eventType": "user.mfa.factor.reset_all", "target": target}
    following = f"{url}?after=1627500044869_1&until=2026-11-29T05%3A00%3A00.000Z"
    vendor.get(
        url,
        json=[event, event],
        headers={"Link": f'<{url}>; rel="self", <{following}>; rel="next"', "X-Rate-Limit-Limit": "120",
                 "X-Rate-Limit-Remaining": "119", "X-Rate-Limit-Reset": "1900000000"},
        match=[matchers.query_param_matcher(asked)],
    )  # fmt: skip
    vendor.get(following, json=[], headers={"Link": f'<{url}>; rel="self"'})
    kind, source = API_SOURCES["okta"], okta(authorization="api_token")
    source = SourceSettings(source.id, source.slug, source.kind, source.settings, {"api_token": "00token"})
    call, reading = kind.call(source, kind.auth(source, None)), kind.pass_of("changes")
    page = kind.fetch(reading, call, period)
    assert page.records == [{"source_key": "00u1"}]
    assert page.rates["logs"].limit == 120
    assert kind.fetch(reading, call, page.next_cursor).next_cursor is None


@pytest.mark.parametrize(
    ("cloud", "login", "graph"),
    [
        ("global", "login.microsoftonline.com", "graph.microsoft.com"),
        ("us", "login.microsoftonline.us", "graph.microsoft.us"),
        ("dod", "login.microsoftonline.us", "dod-graph.microsoft.us"),
        ("china", "login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"),
    ],
)
def test_entra_asks_the_hosts_of_its_cloud(vendor, cloud, login, graph):
    vendor.post(
        f"https://{login}/contoso.com/oauth2/v2.0/token",
        json=TOKEN,
        match=[
            matchers.urlencoded_params_matcher(
                {
                    "grant_type": "client_credentials",
                    "client_id": CLIENT,
                    "client_secret": "s3cret~value",
                    "scope": f"https://{graph}/.default",
                }
            )
        ],
    )
    vendor.get(
        f"https://{graph}/v1.0/users", json={"value": [{"id": "u", "userPrincipalName": "ann@contoso.com"}]}
    )
    kind, source = API_SOURCES["entra"], entra(cloud=cloud)
    token = kind.fetch_token(source)
    page = kind.fetch(kind.listing, kind.call(source, kind.auth(source, token)), None)
    assert page.records[0]["login"] == "ann@contoso.com"
    asked = vendor.calls[1].request
    assert asked.headers["Authorization"] == f"Bearer {token.text}"
    assert "accountEnabled" in asked.url
    assert "signInActivity" not in asked.url


def test_entra_takes_a_certificate_that_its_public_key_verifies(vendor):
    vendor.post("https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token", json=TOKEN)
    issued = CA().issue_cert("app.contoso.com", key_type=KeyType.RSA)
    certificate = issued.cert_chain_pems[0].bytes().decode()
    source = entra(
        {"private_key": issued.private_key_pem.bytes().decode()},
        authorization="certificate",
        certificate=certificate,
    )
    API_SOURCES["entra"].fetch_token(source)
    head, claims, text, signature = assertion_of(vendor.calls[0])
    loaded = x509.load_pem_x509_certificate(certificate.encode())
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    loaded.public_key().verify(signature, text, pss, hashes.SHA256())
    thumbprint = base64.urlsafe_b64encode(loaded.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    assert (head["alg"], head["x5t#S256"]) == ("PS256", thumbprint)
    assert claims["aud"] == "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"


def test_no_secret_is_in_what_a_token_endpoint_refuses(vendor):
    vendor.post(
        "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token",
        status=401,
        json={
            "error": "invalid_client",
            "error_description": "AADSTS7000215: s3cret~value is wrong. Trace ID: 1",
        },
    )
    with pytest.raises(SourceFault) as refused:
        API_SOURCES["entra"].fetch_token(entra())
    assert refused.value.fault is Fault.CREDENTIAL
    assert "s3cret" not in str(refused.value)


def test_google_gets_an_assertion_for_the_administrator_and_lists_users_at_the_admin_sdk(vendor, key):
    vendor.post("https://oauth2.googleapis.com/token", json=TOKEN)
    vendor.get(
        "https://admin.googleapis.com/admin/directory/v1/users",
        json={"kind": "admin#directory#users", "users": [{"id": "1", "primaryEmail": "ann@example.com"}]},
        match=[
            matchers.query_param_matcher(
                {"customer": "my_customer", "projection": "full", "orderBy": "email", "maxResults": "500"}
            ),
            matchers.header_matcher({"Authorization": f"Bearer {TOKEN['access_token']}"}),
        ],
    )
    account = {
        "type": "service_account",
        "client_email": "checks@project.iam.gserviceaccount.com",
        "private_key": pem(key),
        "private_key_id": "kid-1",
    }
    settings = {"admin": "admin@example.com", "passes": {"keys": True}}
    source = SourceSettings(3, "google", "google", settings, {"service_account": json.dumps(account)})
    kind = API_SOURCES["google"]
    page = kind.fetch(kind.listing, kind.call(source, kind.auth(source, kind.fetch_token(source))), None)
    assert page.records[0]["login"] == "ann@example.com"
    head, claims, text, signature = assertion_of(vendor.calls[0], "assertion")
    key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    assert (head["alg"], head["kid"]) == ("RS256", "kid-1")
    assert (claims["iss"], claims["sub"], claims["aud"]) == (
        "checks@project.iam.gserviceaccount.com",
        "admin@example.com",
        "https://oauth2.googleapis.com/token",
    )
    assert claims["scope"] == (
        "https://www.googleapis.com/auth/admin.directory.user.readonly "
        "https://www.googleapis.com/auth/admin.reports.usage.readonly"
    )
    assert "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" in vendor.calls[0].request.body


def github(secrets, **settings):
    values = {
        "organization": "example-inc",
        "authorization": "app",
        "app_id": "123456",
        "installation_id": "42",
    }
    return SourceSettings(4, "github", "github", values | settings, secrets)


@pytest.mark.parametrize(
    ("url", "rest", "graphql"),
    [
        ("https://api.github.com", "https://api.github.com", "https://api.github.com/graphql"),
        (
            "https://github.example.com/api/v3",
            "https://github.example.com/api/v3",
            "https://github.example.com/api/graphql",
        ),
        (
            "https://api.example.ghe.com/",
            "https://api.example.ghe.com",
            "https://api.example.ghe.com/graphql",
        ),
    ],
)
def test_github_gives_a_token_for_the_app_s_key_and_lists_members_by_graphql(vendor, key, url, rest, graphql):
    vendor.post(
        f"{rest}/app/installations/42/access_tokens",
        status=201,
        json={"token": "ghs_of_the_installation", "expires_at": "2100-01-01T00:00:00Z"},
    )
    node = {"databaseId": 1, "login": "ann", "organizationVerifiedDomainEmails": []}
    page = {
        "edges": [{"hasTwoFactorEnabled": True, "role": "ADMIN", "node": node}],
        "pageInfo": {"hasNextPage": False, "endCursor": None},
    }
    vendor.post(
        graphql,
        json={"data": {"organization": {"membersWithRole": page}}},
        headers={
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4999",
            "X-RateLimit-Reset": "1900000000",
        },
        match=[
            matchers.header_matcher(
                {
                    "Authorization": "Bearer ghs_of_the_installation",
                    "X-GitHub-Api-Version": "2022-11-28",
                    "Content-Type": "application/json",
                }
            )
        ],
    )
    kind, source = API_SOURCES["github"], github({"private_key": pem(key)}, url=url)
    token = kind.fetch_token(source)
    found = kind.fetch(kind.listing, kind.call(source, kind.auth(source, token)), None)
    assert token.lifetime > 3_600
    assert found.rates["graphql"].limit == 5_000
    assert (found.records[0]["source_key"], found.records[0]["admin_roles"], found.next_cursor) == (
        "1",
        ["owner"],
        None,
    )
    head, claims, signature = (
        vendor.calls[0].request.headers["Authorization"].removeprefix("Bearer ").split(".")
    )
    signed = base64.urlsafe_b64decode(signature + "==")
    key.public_key().verify(signed, f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert decoded(head)["alg"] == "RS256"
    assert decoded(claims)["iss"] == "123456"
    assert decoded(claims)["exp"] - decoded(claims)["iat"] <= 600


CALLER = {"access_key_id": "AKIAIOSFODNN7EXAMPLE"}
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
  <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>s3cret-of-the-role</SecretAccessKey>
  <SessionToken>token-of-the-role</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleResult></AssumeRoleResponse>"""
GENERATED = """<GenerateCredentialReportResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
  <GenerateCredentialReportResult><State>COMPLETE</State></GenerateCredentialReportResult>
</GenerateCredentialReportResponse>"""


def aws(kind, **settings):
    return SourceSettings(6, kind, kind, CALLER | settings, {"secret_access_key": "s3cret-of-aws"})


def scope_of(call):
    """Key, region and service of a signature."""
    credential = call.request.headers["Authorization"].partition("Credential=")[2].partition(",")[0]
    key, _, region, service, _ = credential.split("/")
    return key, region, service


@pytest.mark.parametrize(
    ("partition", "iam", "sts", "region"),
    [
        ("aws", "iam.amazonaws.com", "sts.us-east-1.amazonaws.com", "us-east-1"),
        ("aws-us-gov", "iam.us-gov.amazonaws.com", "sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("aws-cn", "iam.cn-north-1.amazonaws.com.cn", "sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ],
)
def test_iam_is_asked_in_its_partition_with_the_credentials_of_a_role(vendor, partition, iam, sts, region):
    role = "arn:aws:iam::123456789012:role/identity-checks"
    vendor.post(
        f"https://{sts}/",
        body=ASSUMED,
        match=[
            matchers.urlencoded_params_matcher(
                {
                    "Action": "AssumeRole",
                    "Version": "2011-06-15",
                    "RoleArn": role,
                    "RoleSessionName": "identity-checks",
                    "DurationSeconds": "3600",
                    "ExternalId": "ext-1",
                }
            )
        ],
    )
    vendor.post(
        f"https://{iam}/",
        body=GENERATED,
        match=[
            matchers.urlencoded_params_matcher(
                {"Action": "GenerateCredentialReport", "Version": "2010-05-08"}
            )
        ],
    )
    kind, source = (
        API_SOURCES["awsiam"],
        aws("awsiam", partition=partition, role_arn=role, external_id="ext-1"),
    )
    token = kind.fetch_token(source)
    page = kind.fetch(kind.listing, kind.call(source, kind.auth(source, token)), None)
    assert (token.lifetime, page.next_cursor) == (3600, {"stage": "report"})
    first, second = vendor.calls
    assert scope_of(first) == ("AKIAIOSFODNN7EXAMPLE", region, "sts")
    assert scope_of(second) == ("ASIAIOSFODNN7EXAMPLE", region, "iam")
    assert second.request.headers["X-Amz-Security-Token"] == "token-of-the-role"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "identitystore.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "identitystore.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "identitystore.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_identity_center_is_asked_in_its_region(vendor, region, host):
    vendor.post(
        f"https://{host}/",
        json={"Users": [{"UserId": "u1", "UserName": "ann"}]},
        match=[
            matchers.header_matcher(
                {
                    "X-Amz-Target": "AWSIdentityStore.ListUsers",
                    "Content-Type": "application/x-amz-json-1.1",
                }
            ),
            matchers.json_params_matcher({"IdentityStoreId": "d-1234567890", "MaxResults": 100}),
        ],
    )
    kind = API_SOURCES["identitycenter"]
    source = aws("identitycenter", region=region, identity_store_id="d-1234567890")
    call = kind.call(source, kind.auth(source, None))
    page = kind.fetch(kind.listing, call, None)
    assert (page.records[0]["login"], page.next_cursor) == ("ann", None)
    assert scope_of(vendor.calls[0]) == ("AKIAIOSFODNN7EXAMPLE", region, "identitystore")

    arn = "arn:aws:sso:::instance/ssoins-0123456789abcdef"
    vendor.post(
        f"https://{host.replace('identitystore', 'sso')}/",
        json={"Instances": [{"InstanceArn": arn, "IdentityStoreId": "d-1234567890"}]},
        match=[
            matchers.header_matcher({"X-Amz-Target": "SWBExternalService.ListInstances"}),
            matchers.json_params_matcher({"MaxResults": 100}),
        ],
    )
    page = kind.fetch(kind.pass_of("roles"), call, None)
    assert (page.records, page.next_cursor) == ((), {"stage": "sets", "instance": arn, "sets": []})
    assert scope_of(vendor.calls[1]) == ("AKIAIOSFODNN7EXAMPLE", region, "sso")


def test_duo_gets_a_signed_request_at_the_host_of_the_customer(vendor):
    vendor.get(
        "https://api-1a2b3c4d.duosecurity.com/admin/v1/users",
        json={
            "stat": "OK",
            "response": [{"user_id": "DU1", "username": "ann", "status": "active"}],
            "metadata": {},
        },
        match=[matchers.query_param_matcher({"limit": "300", "offset": "0"})],
    )
    settings = {"url": "https://api-1a2b3c4d.duosecurity.com", "integration_key": "DI0123456789ABCDEFGH"}
    source = SourceSettings(5, "duo", "duo", settings, {"secret_key": "s3cret-of-duo"})
    kind = API_SOURCES["duo"]
    page = kind.fetch(kind.listing, kind.call(source, kind.auth(source, None)), None)
    asked = vendor.calls[0].request
    key, _, signature = (
        base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
    )
    assert (page.records[0]["login"], page.next_cursor) == ("ann", None)
    assert (key, len(signature)) == ("DI0123456789ABCDEFGH", 128)
    assert asked.headers["Date"].endswith("-0000")


@pytest.mark.parametrize(
    ("host", "settings", "audience"),
    [
        ("example.auth0.com", {}, "https://example.auth0.com/api/v2/"),
        ("example.eu.auth0.com", {}, "https://example.eu.auth0.com/api/v2/"),
        ("example.jp.auth0.com", {}, "https://example.jp.auth0.com/api/v2/"),
        (
            "login.example.com",
            {"audience": "https://example.us.auth0.com/api/v2/"},
            "https://example.us.auth0.com/api/v2/",
        ),
    ],
)
def test_auth0_gives_a_token_for_the_management_api_and_lists_users_oldest_first(
    vendor, host, settings, audience
):
    vendor.post(
        f"https://{host}/oauth/token",
        json=TOKEN,
        match=[
            matchers.urlencoded_params_matcher(
                {
                    "grant_type": "client_credentials",
                    "client_id": "the0Client0Id",
                    "client_secret": "s3cret-of-auth0",
                    "audience": audience,
                }
            )
        ],
    )
    user = {"user_id": "auth0|1", "email": "ann@example.com", "email_verified": True}
    vendor.get(
        f"https://{host}/api/v2/users",
        json={"start": 0, "limit": 100, "length": 1, "total": 1, "users": [user]},
        headers={
            "x-ratelimit-limit": "50",
            "x-ratelimit-remaining": "49",
            "x-ratelimit-reset": "1900000000",
        },
        match=[
            matchers.header_matcher({"Authorization": f"Bearer {TOKEN['access_token']}"}),
            matchers.query_param_matcher(
                {"sort": "created_at:1", "per_page": "100", "page": "0", "include_totals": "true"},
                strict_match=False,
            ),
        ],
    )
    values = {"url": f"https://{host}", "client_id": "the0Client0Id", **settings}
    source = SourceSettings(6, "auth0", "auth0", values, {"client_secret": "s3cret-of-auth0"})
    kind = API_SOURCES["auth0"]
    page = kind.fetch(kind.listing, kind.call(source, kind.auth(source, kind.fetch_token(source))), None)
    assert (page.records[0]["login"], page.records[0]["email"]) == ("auth0|1", "ann@example.com")
    assert page.rates["management"].limit == 50


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        ("example.eu.auth0.com", {}),
        ("login.example.com", {"audience": "https://example.us.auth0.com/api/v2/"}),
    ],
)
def test_auth0_gets_an_assertion_for_the_domain_that_receives_it(vendor, key, host, settings):
    vendor.post(f"https://{host}/oauth/token", json=TOKEN)
    values = {
        "url": f"https://{host}/",
        "client_id": "the0Client0Id",
        "authorization": "private_key_jwt",
        "key_id": "kid-1",
        **settings,
    }
    source = SourceSettings(6, "auth0", "auth0", values, {"private_key": pem(key)})
    assert API_SOURCES["auth0"].fetch_token(source).text == TOKEN["access_token"]
    head, claims, text, signature = assertion_of(vendor.calls[0])
    key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    assert (head["alg"], head["kid"]) == ("RS256", "kid-1")
    # auth0.com/docs: the URL of the tenant or custom domain with its trailing slash; valid for five minutes at most.
    assert (claims["iss"], claims["sub"], claims["aud"]) == (
        "the0Client0Id",
        "the0Client0Id",
        f"https://{host}/",
    )
    assert claims["exp"] - claims["nbf"] < 300


def salesforce(secrets, url="https://example.my.salesforce.com", **settings):
    values = {"url": url, "client_id": "3MVG9.consumer.key", **settings}
    return SourceSettings(7, "salesforce", "salesforce", values, secrets)


def salesforce_answers(vendor, host):
    token = {"access_token": "00D!session", "instance_url": f"https://{host}", "token_type": "Bearer"}
    vendor.post(f"https://{host}/services/oauth2/token", json=token)


@pytest.mark.parametrize(
    "host",
    [
        "example.my.salesforce.com",
        "example--dev.sandbox.my.salesforce.com",
        "example.my.salesforce.mil",
        "example.my.sfcrmproducts.cn",
    ],
)
def test_salesforce_is_asked_at_my_domain_with_a_secret(vendor, host):
    salesforce_answers(vendor, host)
    versions = [{"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"}]
    vendor.get(f"https://{host}/services/data", json=versions)
    row = {"Id": "005xx", "Username": "ann@example.com", "IsActive": True}
    vendor.get(
        f"https://{host}/services/data/v66.0/query",
        json={"totalSize": 1, "done": True, "records": [row]},
        headers={"Sforce-Limit-Info": "api-usage=18/15000"},
        match=[matchers.header_matcher({"Authorization": "Bearer 00D!session"})],
    )
    source, kind = salesforce({"client_secret": "s3cret"}, f"https://{host}"), API_SOURCES["salesforce"]
    page = kind.fetch(kind.listing, kind.call(source, kind.auth(source, kind.fetch_token(source))), None)
    assert vendor.calls[0].request.body == (
        "grant_type=client_credentials&client_id=3MVG9.consumer.key&client_secret=s3cret"
    )
    assert (page.records[0]["login"], page.rates["api-usage"].remaining) == ("ann@example.com", 14_982)
    assert "FROM+User" in vendor.calls[2].request.url


@pytest.mark.parametrize(
    ("host", "audience"),
    [
        ("example.my.salesforce.com", "https://login.salesforce.com"),
        ("example--dev.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("example--dev.my.salesforce.com", "https://test.salesforce.com"),
        ("example.develop.my.salesforce.com", "https://login.salesforce.com"),
        ("example.my.sfcrmproducts.cn", "https://login.sfcrmproducts.cn"),
    ],
)
def test_salesforce_gets_an_assertion_for_the_login_server_of_its_cloud(vendor, key, host, audience):
    salesforce_answers(vendor, host)
    source = salesforce(
        {"private_key": pem(key)},
        f"https://{host}",
        authorization="jwt_bearer",
        username="identity-checks@example.com",
    )
    API_SOURCES["salesforce"].fetch_token(source)
    head, claims, text, signature = assertion_of(vendor.calls[0], "assertion")
    key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    assert head["alg"] == "RS256"
    assert (claims["iss"], claims["sub"], claims["aud"]) == (
        "3MVG9.consumer.key",
        "identity-checks@example.com",
        audience,
    )


def test_salesforce_with_another_address_gets_no_request_there(vendor):
    vendor.post(
        "https://example.my.salesforce.com/services/oauth2/token",
        json={**TOKEN, "instance_url": "https://example.my.salesforce.com.evil.example"},
    )
    with pytest.raises(SourceFault, match="enter that address") as refused:
        API_SOURCES["salesforce"].fetch_token(salesforce({"client_secret": "s3cret"}))
    assert refused.value.fault is Fault.CREDENTIAL
