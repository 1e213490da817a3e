"""The real web server, spoken to over a socket with ``requests``, and the real queue's task behind it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from tests.scim.worlds import PATCH_OP, SCIM_JSON, USER
from tests.web.live import HOST, Live, environment, head, manage, serving, set_up, status_of

MIB = 1024 * 1024
SOURCE = """
from checks.services import add_source
from integrations.services import rotate_push_token, save_connection
add_source(slug="push", name="Push", kind="identity", provider="SCIM")
connection, _ = save_connection(slug="push", kind="scim", document={})
print("TOKEN=" + rotate_push_token(connection))
"""
IMPORT = """
from checks.models import Account
from cii_project.scim.importing import import_pushes
from integrations.models import SourceConnection
print(import_pushes(str(SourceConnection.objects.get().pk)))
print("STATUS=" + Account.objects.get().status)
"""


@dataclass
class Pushing:
    live: Live
    base: str
    token: str

    def send(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        headers = {
            "Authorization": f"Bearer {self.token if token is None else token}",
            "Content-Type": SCIM_JSON,
            "Host": HOST,
        }
        return requests.request(method, f"{self.base}/{path}", data=data, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def pushing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushing]:
    folder = tmp_path_factory.mktemp("scim")
    variables = environment(folder)
    sessions = set_up(variables)
    token = manage(variables, "shell", "-c", SOURCE).partition("TOKEN=")[2].strip()
    with serving(folder, variables, sessions) as live:
        yield Pushing(live, f"http://127.0.0.1:{live.port}/scim/v2/push", token)


def test_a_user_is_pushed_changed_and_imported(pushing):
    assert pushing.send("GET", 'Users?filter=userName eq "ann@example.com"').json()["totalResults"] == 0
    made = pushing.send("POST", "Users", {"schemas": [USER], "userName": "ann@example.com", "active": True})
    assert (made.status_code, made.headers["Content-Type"], made.headers["ETag"]) == (201, SCIM_JSON, 'W/"1"')
    path = f"Users/{made.json()['id']}"
    body = {"schemas": [PATCH_OP], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]}
    assert pushing.send("PATCH", path, body).json()["active"] is False
    said = manage(pushing.live.variables, "shell", "-c", IMPORT)
    assert "1 users" in said
    assert "STATUS=disabled" in said
    assert pushing.send("DELETE", path).status_code == 204


def test_seven_mebibytes_arrive_with_a_token(pushing):
    body = json.dumps({"userName": "large@example.com", "x": "x" * 7 * MIB}).encode()
    assert pushing.send("POST", "Users", body).status_code == 201


def test_nine_mebibytes_are_refused_with_and_without_a_token(pushing):
    too_large = b" " * (9 * MIB)
    assert pushing.send("POST", "Users", too_large).status_code == 413
    assert pushing.send("POST", "Users", too_large, token="guess").status_code == 401


def test_a_large_body_without_a_token_is_not_kept(pushing):
    """The server drops what arrives: nothing of it is written to disk."""
    with pushing.live.connect() as wire:
        wire.send(
            head("POST", "/scim/v2/push/Users", f"Content-Type: {SCIM_JSON}", f"Content-Length: {7 * MIB}")
        )
        wire.send(b" " * (6 * MIB))
        assert pushing.live.buffered_on_disk() == 0
        wire.send(b" " * MIB)
        assert status_of(wire.head()) == 401
