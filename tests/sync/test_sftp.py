"""Files over SFTP from a real server: the pinned host key, each sign-in, which file is read, and the rules about networks."""

import os
import socket
import time

import asyncssh
import pytest

from checks.models import Account, Import
from checks.services import add_source
from integrations.models import Sync
from integrations.services import probe_connection, save_connection
from integrations.sources.sftp import kind
from tests.doubles.sftp import CLIENT_KEY, PASSWORD, USERS, running
from tests.sync.worlds import sync

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(tmp_path):
    put(tmp_path, "users.csv", USERS)
    with running(tmp_path) as found:
        yield found


def put(folder, name, content, age=3_600):
    path = folder / name
    path.write_text(content)
    os.utime(path, (time.time() - age,) * 2)


def connect(server, **document):
    add_source(slug="sftp", name="SFTP", kind="identity", provider="FILE")
    return save_connection(slug="sftp", kind="sftp", document=server.document(**document))[0]


def private_key(passphrase=None):
    return CLIENT_KEY.export_private_key("pkcs8-pem" if passphrase else "openssh", passphrase).decode()


def test_a_file_is_read_by_password_and_not_again_while_it_is_the_same(server):
    connection = connect(server)
    done = sync(connection)
    connection.refresh_from_db()
    again = sync(connection)
    assert (done.state, done.error, Account.objects.count()) == (Sync.State.SUCCEEDED, "", 5)
    assert (Import.objects.count(), server.asked.count("open /users.csv")) == (1, 1)
    assert again.passes.get().note == "The file has not changed: it was not read again."


@pytest.mark.parametrize("passphrase", [None, "of-the-key-0123"])
def test_a_private_key_signs_in(server, passphrase):
    done = sync(
        connect(
            server,
            authorization="key",
            password=None,
            private_key=private_key(passphrase),
            passphrase=passphrase,
        )
    )
    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    assert "password" not in server.asked


def test_without_a_host_key_nothing_is_sent_and_the_test_shows_the_key(server):
    connection = connect(server, host_key=None)
    found = probe_connection(connection)
    done = sync(connection)
    assert [(each.name, each.state) for each in found.permissions] == [("Host key and sign-in", "missing")]
    assert server.fingerprint in found.permissions[0].detail
    assert (done.state, server.asked, Account.objects.count()) == (Sync.State.FAILED, [], 0)


def test_another_host_key_than_the_pinned_one_gets_no_password(server):
    other = asyncssh.generate_private_key("ssh-ed25519").get_fingerprint()
    done = sync(connect(server, host_key=other))
    assert (done.state, server.asked) == (Sync.State.FAILED, [])
    assert "not the one that is entered" in done.error


REFUSED = {
    "a wrong password": ({"password": "wrong-0123456789"}, "does not accept"),
    "no such file": ({"path": "/nothing.csv"}, "no such file"),
    "no match": ({"path": "/*.json"}, "No file matches /*.json"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_server_refuses_fails_the_sync_with_a_sentence(server, name):
    document, words = REFUSED[name]
    done = sync(connect(server, **document))
    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert words in done.error
    assert "wrong-0123456789" not in done.error


def test_the_newest_settled_file_of_a_folder_is_read(server):
    put(server.folder, "old.csv", "login\nold\n", age=7_200)
    put(server.folder, "empty.csv", "", age=600)
    (server.folder / "folder.csv").mkdir()
    done = sync(connect(server, path="/*.csv"))
    assert (done.state, done.passes.get().note[:14]) == (Sync.State.SUCCEEDED, "users.csv: CSV")


def test_a_file_that_is_being_written_is_waited_for(server):
    put(server.folder, "users.csv", USERS, age=5)
    done = sync(connect(server))
    assert done.state == Sync.State.FAILED
    assert "may still be written" in done.error
    assert Account.objects.count() == 0


def test_connectivity_shows_each_step_with_columns(server):
    found = probe_connection(connect(server))
    assert [(each.name, each.state) for each in found.permissions] == [
        ("Host key and sign-in", "granted"),
        ("File", "granted"),
        ("Records", "granted"),
    ]
    assert (found.can_list, found.users, list(found.columns)) == (True, 5, ["login", "email", "status"])


def test_the_rules_about_networks_bind_the_connection(server, settings):
    connection = connect(server)
    settings.DENIED_NETWORKS = [*settings.DENIED_NETWORKS, "127.0.0.0/8"]
    done = sync(connection)
    assert (done.state, server.asked) == (Sync.State.FAILED, [])
    assert "must not be called" in done.error


def test_a_server_that_does_not_answer_is_given_up_in_time(server, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(kind, "CONNECT_SECONDS", 0.5)
        connection = connect(server, port=silent.getsockname()[1])
        started = time.monotonic()
        found = probe_connection(connection)
    assert time.monotonic() - started < 10
    assert found.permissions[0].state == "unclear"
    assert PASSWORD not in found.permissions[0].detail
