"""What every kind of source must keep, proven at each of them: a new folder needs a world here, or these tests fail."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.staticfiles import finders

from checks.models import FieldGroup
from checks.services import RECORD_FIELDS
from cii_project.tools.scripted_sources.auth0 import ScriptedAuth0, auth0_user
from cii_project.tools.scripted_sources.duo import ScriptedDuo, duo_user
from cii_project.tools.scripted_sources.entra import SECRET, ScriptedEntra, entra_user
from cii_project.tools.scripted_sources.github import Person, ScriptedGitHub
from cii_project.tools.scripted_sources.google import ScriptedGoogle, google_user
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_user
from cii_project.tools.scripted_sources.salesforce import ScriptedSalesforce, salesforce_user
from cii_project.tools.scripted_sources.server import Answer, Asked, ScriptedServer, json_answer
from integrations.models import Sync
from integrations.nested_values import put_value, value_at
from integrations.services import save_connection, source_settings
from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources import API_SOURCES
from integrations.sources.shared.source_call import HeaderAuth
from integrations.target_data import InvalidDocument
from integrations.targets.shared.documents import OTHER_ADDRESS
from tests.doubles import directory, sftp
from tests.doubles.aws_iam import KEY_ID, SECRET as AWS_SECRET, ScriptedIam, iam_user, result_of, row
from tests.doubles.aws_identity_store import REGION, ScriptedIdentityStore, store_user
from tests.doubles.aws_permission_sets import STORE, PermissionSet, ScriptedPermissionSets
from tests.doubles.report import ScriptedReport
from tests.doubles.s3 import ScriptedS3
from tests.sync import worlds

MARKER = "secret-0123456789-of-this-test"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


@dataclass(frozen=True)
class World:
    """A provider with five users, two a page, that can be served; the document of a source that reads it; and what of
    its requests are those of the listing, as texts."""

    serve: Callable[[], AbstractContextManager[Any]]
    document: Callable[[Any], dict[str, Any]]
    listed: Callable[[Any], list[str]]


@dataclass(frozen=True)
class HttpWorld(World):
    """``listing``: the path of the list of users. ``empty_page``: without a user, with a link to a URL. ``follows_links``:
    whether the place of the next page is a URL of the provider's."""

    listing: str
    empty_page: Callable[[str], Answer]
    follows_links: bool = True


@dataclass(frozen=True)
class FileWorld(World):
    """A file with five users. ``listing``: its path."""

    listing: str


def _file(provider: Callable[[], Any], document: Callable[[str], dict[str, Any]], listing: str) -> FileWorld:
    def listed(server: ScriptedServer) -> list[str]:
        return [each.path for each in server.asked if each.path == listing]

    return FileWorld(lambda: ScriptedServer(provider()), lambda server: document(server.url), listed, listing)


def _http(
    provider: Callable[[], Any],
    document: Callable[[str], dict[str, Any]],
    listing: str,
    empty_page: Callable[[str], Answer],
    *,
    follows_links: bool = True,
) -> HttpWorld:
    def listed(server: ScriptedServer) -> list[str]:
        # AWS names the operation in a header.
        return [
            f"{sorted(each.query.items())} {each.headers.get('X-Amz-Target')} {each.body!r}"
            for each in server.asked
            if each.path == listing
        ]

    return HttpWorld(
        lambda: ScriptedServer(provider()),
        lambda server: document(server.url),
        listed,
        listing,
        empty_page,
        follows_links,
    )


def _sftp() -> World:
    @contextmanager
    def serve() -> Iterator[sftp.RunningSftp]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "users.csv"
            path.write_text(sftp.USERS)
            os.utime(path, (1_700_000_000,) * 2)
            with sftp.running(Path(folder)) as server:
                yield server

    return World(
        serve,
        lambda server: server.document(),
        lambda server: [each for each in server.asked if "open" in each],
    )


def _ldap(serve: Callable[[], directory.ScriptedDirectory], **document: Any) -> World:
    def listed(server: directory.ScriptedDirectory) -> list[str]:
        pages = [each for each in server.asked if each.asks_page]
        return [f"{each.filter!r} {each.first}" for each in pages]

    return World(serve, lambda server: server.settings(**document), listed)


SALESFORCE_QUERY = "/services/data/v66.0/query"


def _salesforce() -> HttpWorld:
    """The first page is a query, the others have paths of their own."""

    def listed(server: ScriptedServer) -> list[str]:
        return [
            f"{each.path} {sorted(each.query.items())}"
            for each in server.asked
            if each.path.startswith(f"{SALESFORCE_QUERY}/") or "FROM User" in each.query.get("q", "")
        ]

    users = [salesforce_user(f"005xx000001X{n}AAA", f"user{n}@example.com") for n in range(5)]
    return HttpWorld(
        lambda: ScriptedServer(ScriptedSalesforce(users=users, page=2)),
        lambda server: {
            "url": server.url,
            "client_id": ScriptedSalesforce.client_id,
            "client_secret": ScriptedSalesforce.client_secret,
            "passes": {"roles": False, "factors": False},
        },
        listed,
        SALESFORCE_QUERY,
        lambda url: json_answer({"totalSize": 5, "done": False, "nextRecordsUrl": url, "records": []}),
    )


def _okta_empty(url: str) -> Answer:
    return json_answer([], headers={"Link": f'<{url}>; rel="next"'})


WORLDS: dict[str, World] = {
    "okta": _http(
        lambda: ScriptedOkta(
            users={f"00u{n}": okta_user(f"00u{n}", f"user{n}@example.com") for n in range(5)}, page=2
        ),
        lambda url: {"url": url, "authorization": "api_token", "api_token": ScriptedOkta.token},
        "/api/v1/users",
        _okta_empty,
    ),
    "entra": _http(
        lambda: ScriptedEntra(
            users={f"u{n}": entra_user(f"u{n}", f"user{n}@contoso.com") for n in range(5)}, page=2
        ),
        lambda url: {
            "tenant": ScriptedEntra.tenant,
            "client_id": ScriptedEntra.client_id,
            "client_secret": SECRET,
            "addresses": {"login": url, "graph": url},
        },
        "/v1.0/users",
        lambda url: json_answer({"value": [], "@odata.nextLink": url}),
    ),
    "google": _http(
        lambda: ScriptedGoogle(
            public_key=KEY.public_key(),
            users={f"{n}": google_user(f"{n}", f"user{n}@example.com") for n in range(5)},
            page=2,
        ),
        lambda url: {
            "service_account": json.dumps(
                {"type": "service_account", "client_email": ScriptedGoogle.email, "private_key": PEM}
            ),
            "admin": ScriptedGoogle.admin,
            "addresses": {"token": f"{url}/token", "api": url},
        },
        "/admin/directory/v1/users",
        lambda url: json_answer({"kind": "admin#directory#users", "nextPageToken": "0"}),
    ),
    "github": _http(
        lambda: ScriptedGitHub(members=[Person(n, f"user{n}") for n in range(1, 6)], page=2),
        lambda url: {
            "url": url,
            "organization": ScriptedGitHub.organization,
            "authorization": "token",
            "token": ScriptedGitHub.token,
        },
        "/graphql",
        lambda url: json_answer(
            {
                "data": {
                    "organization": {
                        "membersWithRole": {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": "0"}}
                    }
                }
            }
        ),
    ),
    "awsiam": _http(
        lambda: ScriptedIam(
            users=[iam_user(n, f"user{n}") for n in range(1, 6)],
            report=[row(f"user{n}") for n in range(1, 6)],
            page=2,
        ),
        lambda url: {
            "access_key_id": KEY_ID,
            "secret_access_key": AWS_SECRET,
            "passes": {"factors": False},
            "addresses": {"iam": url, "sts": url},
        },
        "/",
        lambda url: result_of("GenerateCredentialReport", {"State": "STARTED"}),
        follows_links=False,
    ),
    "identitycenter": _http(
        lambda: ScriptedIdentityStore(
            users=[store_user(n, f"user{n}") for n in range(5)],
            groups={"Admins": [store_user(3, "user3")["UserId"]]},
            page=2,
            permissions=ScriptedPermissionSets(
                [
                    PermissionSet("Reader", ("ReadOnlyAccess",)),
                    PermissionSet(
                        "Admin",
                        ("AdministratorAccess",),
                        accounts={"111111111111": [store_user(0, "user0")["UserId"], "g-Admins"]},
                    ),
                ],
                page=1,
            ),
        ),
        lambda url: {
            "region": REGION,
            "identity_store_id": STORE,
            "access_key_id": KEY_ID,
            "secret_access_key": AWS_SECRET,
            "passes": {"groups": False, "roles": True},
            "addresses": {"identitystore": url, "sso": url, "sts": url},
        },
        "/",
        lambda url: json_answer({"Users": [], "NextToken": "token-0"}),
        follows_links=False,
    ),
    "duo": _http(
        lambda: ScriptedDuo(users=[duo_user(f"DU{n}", f"user{n}") for n in range(5)], page=2),
        lambda url: {
            "url": url,
            "integration_key": ScriptedDuo.integration_key,
            "secret_key": ScriptedDuo.secret_key,
        },
        "/admin/v1/users",
        lambda url: json_answer(
            {"stat": "OK", "response": [], "metadata": {"next_offset": 0, "total_objects": 5}}
        ),
    ),
    "auth0": _http(
        lambda: ScriptedAuth0(
            users=[auth0_user(f"auth0|{n}", f"2025-01-0{n + 1}T00:00:00.000Z") for n in range(5)], page=2
        ),
        lambda url: {
            "url": url,
            "client_id": ScriptedAuth0.client_id,
            "client_secret": ScriptedAuth0.client_secret,
        },
        "/api/v2/users",
        lambda url: json_answer({"start": 0, "limit": 2, "length": 0, "total": 5, "users": []}),
    ),
    "salesforce": _salesforce(),
    "hr": _file(
        ScriptedReport,
        lambda url: {"url": f"{url}/report.csv", "username": "isu", "password": ScriptedReport.password},
        "/report.csv",
    ),
    "s3": _file(
        ScriptedS3,
        lambda url: {
            "bucket": ScriptedS3.bucket,
            "region": ScriptedS3.region,
            "key": "hr/users.csv",
            "access_key_id": ScriptedS3.access_key_id,
            "secret_access_key": ScriptedS3.secret_access_key,
            "addresses": {"s3": url},
        },
        f"/{ScriptedS3.bucket}/hr/users.csv",
    ),
    "sftp": _sftp(),
    "activedirectory": _ldap(directory.small_domain),
    "ldap": _ldap(directory.small_organization, admin_groups=["Admins"]),
}
HTTP: dict[str, HttpWorld] = {kind: world for kind, world in WORLDS.items() if isinstance(world, HttpWorld)}
FILES: dict[str, FileWorld] = {kind: world for kind, world in WORLDS.items() if isinstance(world, FileWorld)}
KINDS, HTTP_KINDS, FILE_KINDS = sorted(API_SOURCES), sorted(HTTP), sorted(FILES)
AWS_KINDS = ("awsiam", "identitycenter", "s3")
LINK_KINDS = [kind for kind in HTTP_KINDS if HTTP[kind].follows_links]


def settings_of(kind: str, server: Any) -> SourceSettings:
    cleaned = API_SOURCES[kind].clean(WORLDS[kind].document(server))
    return SourceSettings(1, kind, kind, cleaned.settings, cleaned.secrets)


def first_page(kind: str, server: Any) -> Any:
    source = API_SOURCES[kind]
    settings = settings_of(kind, server)
    token = source.fetch_token(settings)
    with closing(source.call(settings, source.auth(settings, token))) as call:
        return source.fetch(source.listing, call, None)


def test_every_kind_has_a_world_of_its_own():
    assert set(WORLDS) == set(API_SOURCES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_declares_what_pages_and_imports_need(kind):
    source = API_SOURCES[kind]
    assert finders.find(source.logo)
    assert source.label
    assert source.summary
    assert len(source.steps) >= 3
    slugs = [each.slug for each in source.passes]
    assert len(slugs) == len(set(slugs))
    assert "profile" in source.listing.groups
    assert not source.listing.optional
    for each in source.passes:
        assert {FieldGroup(group) for group in each.groups} or each.changes
        assert set(each.absent) <= set(RECORD_FIELDS)
        if each.optional:
            assert f"passes.{each.slug}" in {field.path for field in source.form_fields}
        if each.changes:
            # It names accounts for a later pass and brings nothing; without its permission the rest is read.
            named = source.pass_of(each.changes.of)
            assert named.per_account
            assert slugs.index(each.slug) < slugs.index(named.slug)
            assert each.optional
            assert not each.groups


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_secret_goes_to_no_address_that_it_was_not_stored_for(kind):
    source = API_SOURCES[kind]
    with WORLDS[kind].serve() as server:
        document = WORLDS[kind].document(server)
        stored = source.clean(document)
        hidden = [path for path in source.secret_paths if value_at(stored.secrets, path)]
        without = json.loads(json.dumps(document))
        for path in hidden:
            prefix, _, key = path.rpartition(".")
            (value_at(without, prefix) if prefix else without).pop(key)
        addresses = [
            each.path
            for each in source.form_fields
            if each.widget in ("url", "host") and (each.when is None or value_at(stored.settings, each.path))
        ]
    assert hidden
    assert source.clean(without, stored).secrets == stored.secrets
    for path in addresses:
        elsewhere = json.loads(json.dumps(without))
        put_value(elsewhere, path, "https://elsewhere.example.com")
        with pytest.raises(InvalidDocument) as raised:
            source.clean(elsewhere, stored)
        assert {each: raised.value.errors.get(each) for each in hidden} == dict.fromkeys(
            hidden, OTHER_ADDRESS
        )


@pytest.mark.parametrize("kind", KINDS)
def test_records_hold_fields_of_the_record_alone_and_an_immutable_id(kind):
    with WORLDS[kind].serve() as server:
        page = first_page(kind, server)
    if API_SOURCES[kind].reads_file:
        # By the file's own names: the mapping of the source makes fields of them.
        assert [sorted(record) for record in page.records] == [["line", "record"]] * 5
        return
    for record in page.records:
        assert record["source_key"]
        assert record["login"]
        assert set(record) <= set(RECORD_FIELDS)


ANSWERS = {
    "401": (Answer(401, b"{}"), Fault.CREDENTIAL),
    "403": (Answer(403, b"{}"), Fault.PERMISSION),
    "404": (Answer(404, b"{}"), Fault.GONE),
    "400": (Answer(400, b"{}"), Fault.REFUSED),
    "302": (Answer(302, b"", {"Location": "/sign-in"}), Fault.REFUSED),
    "429": (Answer(429, b"{}", {"Retry-After": "7"}), Fault.THROTTLED),
    "429 without a time": (Answer(429, b"{}"), Fault.THROTTLED),
    "500": (Answer(500, b"oops"), Fault.TEMPORARY),
    "503": (Answer(503, b"", {"Retry-After": "7"}), Fault.TEMPORARY),
    "half a body": (Answer(200, b"[" + b" " * 999 + b"]", breaks=True), Fault.TEMPORARY),
    "HTML": (Answer(200, b"<html></html>", {"Content-Type": "text/html"}), Fault.TEMPORARY),
    "no list": (Answer(200, b'{"a": 1}', {"Content-Type": "application/json"}), Fault.TEMPORARY),
    "deep": (Answer(200, b"[" * 100_000, {"Content-Type": "application/json"}), Fault.TEMPORARY),
}


# A file that is no file of records is refused at once: the next download would bring the same.
NO_RECORDS = {"HTML": Fault.REFUSED, "deep": Fault.REFUSED}
BAD_ANSWERS = [
    *((kind, name) for kind in HTTP_KINDS for name in ANSWERS),
    # One JSON object is a file with one record.
    *((kind, name) for kind in FILE_KINDS for name in ANSWERS if name != "no list"),
]


@pytest.mark.parametrize(("kind", "name"), BAD_ANSWERS)
def test_each_bad_answer_is_the_fault_that_it_is(kind, name):
    answer, expected = ANSWERS[name]
    world = (HTTP | FILES)[kind]
    if kind in FILES:
        expected = NO_RECORDS.get(name, expected)
    with world.serve() as server:
        server.disturb = lambda asked: answer if asked.path == world.listing else None
        with pytest.raises(SourceFault) as raised:
            first_page(kind, server)
    assert raised.value.fault is expected
    if name == "429":
        assert raised.value.wait == 7
    if name == "429 without a time":
        # Without a number the driver waits a short time, longer after each refusal.
        assert raised.value.wait is None if kind in AWS_KINDS else raised.value.wait >= 1


@pytest.mark.parametrize("kind", [*HTTP_KINDS, *FILE_KINDS])
def test_a_provider_that_quotes_the_credential_does_not_get_it_into_an_error(kind):
    world = (HTTP | FILES)[kind]
    with world.serve() as server:

        def quote(asked: Asked) -> Answer | None:
            if asked.path != world.listing:
                return None
            text = f"refused {asked.headers['Authorization']}"
            return json_answer(
                {
                    "errorSummary": text,
                    "errorCode": "E1",
                    "message": text,
                    "error": {"code": "E1", "message": text},
                },
                403,
            )

        server.disturb = quote
        source = API_SOURCES[kind]
        call = source.call(settings_of(kind, server), HeaderAuth("Bearer", MARKER))
        call.hidden.append(MARKER)
        with pytest.raises(SourceFault) as raised:
            source.fetch(source.listing, call, None)
    assert "refused" in str(raised.value)
    assert MARKER not in str(raised.value)


@pytest.mark.parametrize("kind", LINK_KINDS)
def test_a_link_to_another_host_gets_nothing(kind):
    with HTTP[kind].serve() as server, HTTP[kind].serve() as other:
        source = API_SOURCES[kind]
        call = source.call(settings_of(kind, server), HeaderAuth("Bearer", MARKER))
        with pytest.raises(SourceFault, match="not the address of this source"):
            source.fetch(source.listing, call, {"url": f"{other.url}{HTTP[kind].listing}"})
        assert other.asked == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_an_empty_page_with_a_link_is_not_the_end(kind):
    with HTTP[kind].serve() as server:
        connection = _connect(kind, server)
        seen: list[Asked] = []

        def empty_first(asked: Asked) -> Answer | None:
            if asked.path != HTTP[kind].listing or seen:
                return None
            seen.append(asked)
            query = "&".join(f"{name}={value.replace(' ', '%20')}" for name, value in asked.query.items())
            return HTTP[kind].empty_page(f"{server.url}{asked.path}?{query}&again=1")

        server.disturb = empty_first
        done = worlds.sync(connection)
    assert done.passes.get(position=0).created == 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_dies_after_each_page_loses_nothing(kind):
    with WORLDS[kind].serve() as server:
        started = worlds.start_sync(_connect(kind, server), Sync.Trigger.MEMBER)
        while started.state == Sync.State.RUNNING:
            # One step a worker.
            worlds.advance(started.pk, seconds=0, sleep=lambda seconds: None)
            started.connection.rate_buckets.update(next_at=0, paused_until=0)
            Sync.objects.filter(pk=started.pk).update(due_at=started.created_at)
            started.refresh_from_db()
    assert started.state == Sync.State.SUCCEEDED
    assert started.passes.get(position=0).created == 5
    listed = WORLDS[kind].listed(server)
    assert len(listed) == 1 if API_SOURCES[kind].reads_file else len(listed) >= 3
    assert len(set(listed)) == len(listed)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_stands_in_clear_in_the_database(kind):
    with WORLDS[kind].serve() as server:
        connection = _connect(kind, server)
        worlds.sync(connection)
        connection.refresh_from_db()
        secrets = [str(each) for each in source_settings(connection).secrets.values()]
        assert secrets
        rows = [str(vars(each)) for each in (connection, *connection.syncs.all())]
    assert not [secret for secret in secrets if any(secret in row for row in rows)]


def _connect(kind: str, server: Any) -> Any:
    source = API_SOURCES[kind]
    worlds.add_source(slug=kind, name=kind, kind=source.system or "identity", provider=source.provider)
    document = WORLDS[kind].document(server)
    return save_connection(slug=kind, kind=kind, document=document)[0]
