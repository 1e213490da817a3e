"""Files in S3: which object is read, each permission, and signatures as AWS documents them."""

from datetime import UTC, datetime

import pytest

from checks.models import Account, Import
from checks.services import add_source
from cii_project.tools.scripted_sources.server import Answer, ScriptedServer
from integrations.auth.signature_v4 import Credentials, CredentialScope, authorization
from integrations.models import Sync
from integrations.services import InvalidDocument, probe_connection, save_connection
from integrations.source_data import SourceSettings
from integrations.sources.s3.kind import EMPTY_BODY, S3Call
from tests.doubles.aws_iam import ACCOUNT, ROLE_KEY_ID, ROLE_SECRET, ROLE_TOKEN, ScriptedIam
from tests.doubles.s3 import USERS, ScriptedS3, error
from tests.sync.worlds import sync

pytestmark = pytest.mark.django_db(transaction=True)


def connect(server, **document):
    add_source(slug="s3", name="S3", kind="identity", provider="FILE")
    settings = {
        "bucket": ScriptedS3.bucket,
        "region": ScriptedS3.region,
        "key": "hr/users.csv",
        "access_key_id": ScriptedS3.access_key_id,
        "secret_access_key": ScriptedS3.secret_access_key,
        "addresses": {"s3": server.url},
    }
    return save_connection(slug="s3", kind="s3", document=settings | document)[0]


def logins():
    return set(Account.objects.exclude(status="deleted").values_list("login", flat=True))


def test_an_object_is_read_by_its_key_and_not_again_while_it_is_the_same():
    with ScriptedServer(ScriptedS3()) as server:
        connection = connect(server)
        sync(connection)
        connection.refresh_from_db()
        again = sync(connection)
    assert (len(logins()), Import.objects.count()) == (5, 1)
    assert again.passes.get().note == "The file has not changed: it was not read again."


def test_the_newest_object_of_a_folder_is_read_however_many_pages_its_list_has():
    bucket = ScriptedS3(page=2)
    bucket.objects = {
        "hr/2026-11-27.csv": (b"login\nold\n", "2026-11-27T04:00:00.000Z"),
        "hr/2026 11 28 \xfc&.csv": (USERS.encode(), "2026-11-28T04:00:00.000Z"),
        "hr/2026-11-26.csv": (b"login\nolder\n", "2026-11-26T04:00:00.000Z"),
        "hr/readme.txt": (b"login\nno\n", "2026-11-29T04:00:00.000Z"),
        "hr/archive/2026-11-29.csv": (b"login\nno\n", "2026-11-29T05:00:00.000Z"),
        "hr/empty.csv": (b"", "2026-11-29T06:00:00.000Z"),
    }
    with ScriptedServer(bucket) as server:
        connection = connect(server, key="hr/*.csv")
        done = sync(connection)
        connection.refresh_from_db()
        server.asked.clear()
        again = sync(connection)
        bucket.objects["hr/2026-11-29.csv"] = (USERS.encode() + b"new,,active\n", "2026-11-29T04:00:00.000Z")
        connection.refresh_from_db()
        newer = sync(connection)
    assert (done.state, again.passes.get().note) == (
        Sync.State.SUCCEEDED,
        "The file has not changed: it was not read again.",
    )
    assert newer.passes.get().note.startswith("2026-11-29.csv: CSV")
    assert "new" in logins()
    assert "no" not in logins()


REFUSED = {
    "no such key": ({"key": "hr/nothing.csv"}, "NoSuchKey"),
    "no match": ({"key": "hr/*.json"}, "No object matches hr/*.json"),
    "no such bucket": ({"bucket": "another"}, "NoSuchBucket"),
    "a wrong secret": ({"secret_access_key": "wrong-0123456789"}, "SignatureDoesNotMatch"),
    "a wrong id": ({"access_key_id": "AKIANOTHINGNOTHING00"}, "InvalidAccessKeyId"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_s3_refuses_fails_the_sync_with_its_words(name):
    document, words = REFUSED[name]
    with ScriptedServer(ScriptedS3()) as server:
        done = sync(connect(server, **document))
    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert words in done.error
    assert "wrong-0123456789" not in done.error


def test_a_bucket_of_another_region_is_named_with_its_region():
    with ScriptedServer(ScriptedS3()) as server:
        server.disturb = lambda asked: Answer(301, b"", {"x-amz-bucket-region": "us-west-2"})
        done = sync(connect(server))
    assert done.error == "The bucket is in the region us-west-2: enter that one."


def test_half_of_a_list_and_a_list_that_never_ends_are_no_list():
    with ScriptedServer(ScriptedS3(page=1)) as server:
        server.provider.objects["hr/b.csv"] = (b"login\nb\n", "2026-11-29T04:00:00.000Z")
        connection = connect(server, key="hr/*.csv")
        half = b"<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>hr/a"
        server.disturb = lambda asked: Answer(200, half)
        assert "not complete" in sync(connection).error
        same = (
            b"<ListBucketResult><IsTruncated>true</IsTruncated>"
            b"<NextContinuationToken>7</NextContinuationToken></ListBucketResult>"
        )
        server.disturb = lambda asked: Answer(200, same)
        assert "same page twice" in sync(connection).error


def test_connectivity_names_the_permission_that_is_missing():
    with ScriptedServer(ScriptedS3(may_list=False)) as server:
        connection = connect(server, key="hr/*.csv")
        found = probe_connection(connection)
        server.provider.may_list = True
        granted = probe_connection(connection)
    assert [(each.name, each.state) for each in found.permissions] == [("s3:ListBucket", "missing")]
    assert "AccessDenied" in found.permissions[0].detail
    assert not found.can_list
    assert [each.name for each in granted.permissions] == ["s3:ListBucket", "File", "Records"]
    assert (granted.can_list, granted.users, list(granted.columns)) == (True, 5, ["login", "email", "status"])


@pytest.mark.parametrize("key", ["*/users.csv", "hr/", "/hr/users.csv"])
def test_a_key_that_no_object_can_be_meant_by_is_refused(key):
    with ScriptedServer(ScriptedS3()) as server, pytest.raises(InvalidDocument) as raised:
        connect(server, key=key)
    assert "key" in raised.value.errors


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"bucket": "exports"}, "https://exports.s3.eu-central-1.amazonaws.com/a%20b/%C3%BC.csv"),
        ({"bucket": "ex.ports"}, "https://s3.eu-central-1.amazonaws.com/ex.ports/a%20b/%C3%BC.csv"),
        (
            {"bucket": "exports", "region": "cn-north-1"},
            "https://exports.s3.cn-north-1.amazonaws.com.cn/a%20b/%C3%BC.csv",
        ),
        (
            {"bucket": "exports", "addresses": {"s3": "https://minio.example.com:9000"}},
            "https://minio.example.com:9000/exports/a%20b/%C3%BC.csv",
        ),
    ],
)
def test_a_bucket_is_addressed_by_host_at_amazon_and_by_path_elsewhere(settings, address):
    given = {"region": "eu-central-1", "key": "a b/\xfc.csv"} | settings
    call = S3Call(SourceSettings(1, "s3", "s3", given), None)
    assert call.address(call.key) == address


def test_signatures_are_those_of_the_examples_of_aws():
    # docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    scope = CredentialScope(datetime(2013, 5, 24, tzinfo=UTC), "us-east-1", "s3")
    host = "examplebucket.s3.amazonaws.com"
    headers = {"Host": host, "X-Amz-Content-SHA256": EMPTY_BODY, "X-Amz-Date": "20130524T000000Z"}

    def signature(path, more):
        signed = authorization("GET", f"https://{host}{path}", headers | more, b"", credentials, scope)
        return signed.rpartition("=")[2]

    get = signature("/test.txt", {"Range": "bytes=0-9"})
    assert get == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    listed = signature("/?max-keys=2&prefix=J", {})
    assert listed == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"


# --- Roles and temporary credentials ------------------------------------------------------------------

ROLE = {"role_arn": f"arn:aws:iam::{ACCOUNT}:role/read-exports", "external_id": "ext-1"}


def connect_role(server, **document):
    addresses = {"s3": server.url, "sts": server.url}
    return connect(server, **ROLE | {"addresses": addresses} | document)


def role_bucket():
    sts = ScriptedIam(role=ROLE["role_arn"], external_id="ext-1", region=ScriptedS3.region)
    return ScriptedS3(sts=sts)


def assumed(server):
    return [each.form.get("Action") for each in server.asked].count("AssumeRole")


def test_a_role_is_assumed_once_and_reads_the_file():
    with ScriptedServer(role_bucket()) as server:
        connection = connect_role(server, key="hr/*.csv")
        found = probe_connection(connection)
        server.asked.clear()
        done = sync(connection)

    assert [str(each.state) for each in found.permissions] == ["granted"] * 3
    assert (done.state, len(logins()), assumed(server)) == (Sync.State.SUCCEEDED, 5, 0)
    assert all(f"Credential={ROLE_KEY_ID}/" in each.headers["Authorization"] for each in server.asked)


def test_a_role_whose_credentials_ended_is_assumed_again():
    with ScriptedServer(role_bucket()) as server:
        once = iter([error("ExpiredToken", 403)])
        server.disturb = lambda asked: next(once, None) if asked.method == "GET" else None
        done = sync(connect_role(server))

    assert (done.state, assumed(server)) == (Sync.State.SUCCEEDED, 2)


def test_a_role_with_another_external_id_is_refused_with_the_words_of_sts():
    with ScriptedServer(role_bucket()) as server:
        connection = connect_role(server, external_id="ext-2")
        (missing,) = probe_connection(connection).permissions
        done = sync(connection)

    assert (
        "The role cannot be assumed. The provider answered 403: AccessDenied to sts:AssumeRole"
        in missing.detail
    )
    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)


def test_temporary_credentials_send_their_token_and_errors_show_none_of_them():
    keys = {"access_key_id": ROLE_KEY_ID, "secret_access_key": ROLE_SECRET, "session_token": ROLE_TOKEN}
    with ScriptedServer(role_bucket()) as server:
        connection = connect(server, **keys)
        done = sync(connection)
        quoting = f"<Error><Code>AccessDenied</Code><Message>{ROLE_SECRET} {ROLE_TOKEN}</Message></Error>"
        server.disturb = lambda asked: Answer(403, quoting.encode())
        refused = sync(connection)

    assert (done.state, len(logins())) == (Sync.State.SUCCEEDED, 5)
    assert "AccessDenied" in refused.error
    assert not [each for each in (ROLE_SECRET, ROLE_TOKEN) if each in refused.error]


@pytest.mark.parametrize(
    ("document", "field"),
    [({"access_key_id": ROLE_KEY_ID}, "session_token"), ({"external_id": "ext-1"}, "external_id")],
)
def test_what_does_not_go_together_is_refused(document, field):
    with ScriptedServer(ScriptedS3()) as server, pytest.raises(InvalidDocument) as raised:
        connect(server, **document)
    assert field in raised.value.errors


@pytest.mark.parametrize("refusals", [1, 3])
def test_a_store_that_slows_down_is_asked_again_after_seconds(refusals):
    with ScriptedServer(ScriptedS3()) as server:
        few = iter([error("SlowDown", 503)] * refusals)
        server.disturb = lambda asked: next(few, None)
        done = sync(connect(server))

    assert (done.state, done.waited_seconds) == (Sync.State.SUCCEEDED, 2.0 ** (refusals + 1) - 2)
