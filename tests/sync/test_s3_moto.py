"""A file in S3 against moto, a server of AWS's APIs by others."""

import pytest
import requests

from checks.models import Account
from checks.services import add_source
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from tests.doubles import moto
from tests.sync.worlds import sync

pytestmark = [pytest.mark.moto, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def server():
    with moto.running() as url:
        yield url


def test_the_newest_object_of_a_folder_is_read_once(server):
    bucket = f"{server}/exports"
    for path, body in (
        ("", b""),
        ("/hr/a b.csv", b"login,email\nann,ann@example.com\n"),
        ("/readme.txt", b"no"),
    ):
        requests.put(bucket + path, data=body, timeout=10).raise_for_status()
    add_source(slug="s3", name="S3", kind="identity", provider="FILE")
    document = {**moto.KEYS, "bucket": "exports", "key": "hr/*.csv", "addresses": {"s3": server}}
    connection, _ = save_connection(slug="s3", kind="s3", document=document)

    states = [str(each.state) for each in probe_connection(connection).permissions]
    done = sync(connection)
    connection.refresh_from_db()
    again = sync(connection)

    assert (states, done.state, done.error) == (["granted"] * 3, Sync.State.SUCCEEDED, "")
    assert Account.objects.get().email == "ann@example.com"
    assert again.passes.get().note == "The file has not changed: it was not read again."


def test_an_object_is_read_by_its_key_and_a_wrong_one_is_not_found(server):
    requests.put(f"{server}/exports", timeout=10)
    requests.put(f"{server}/exports/users.csv", data=b"login\nbob\n", timeout=10).raise_for_status()
    add_source(slug="s3", name="S3", kind="identity", provider="FILE")
    document = {**moto.KEYS, "bucket": "exports", "key": "users.csv", "addresses": {"s3": server}}
    connection, _ = save_connection(slug="s3", kind="s3", document=document)
    assert sync(connection).state == Sync.State.SUCCEEDED
    connection.refresh_from_db()
    again = sync(connection)
    assert again.passes.get().note == "The file has not changed: it was not read again."
    wrong, _ = save_connection(
        slug="s3", kind="s3", document={**document, "key": "nothing.csv"}, connection=connection
    )
    assert "NoSuchKey" in sync(wrong).error
