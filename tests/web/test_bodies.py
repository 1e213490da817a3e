"""The application refuses a large body by its stated length, whatever the web server: nothing of it is read."""

import pytest
from django.test import Client
from django.urls import reverse

from cii_project.web.bodies import MAX_BODY_BYTES, MAX_UPLOAD_BYTES
from tests.console.checks_world import client_of

pytestmark = pytest.mark.django_db
UPLOAD = "/integrations/sources/"


class Unread:
    """A body that nobody may touch."""

    def read(self, *args):
        raise AssertionError("the body was read")

    readline = read


def post(client, path, size, **more):
    # Some bytes of payload: without any, the test client sends no input of its own.
    given = {"CONTENT_LENGTH": str(size), "wsgi.input": Unread(), **more}
    return client.generic("POST", path, b"x", "multipart/form-data; boundary=x", **given)


@pytest.mark.parametrize("path", [UPLOAD, "/admin/login/", "/checks/bulk", "/", "/healthz"])
def test_nobody_sends_over_a_mebibyte_without_a_role(path):
    for client in (Client(), client_of("")):
        answer = post(client, path, MAX_BODY_BYTES + 1)
        assert answer.status_code == 413
        assert "The request has 1.0 MiB; at most 1 MiB are accepted here." in answer.content.decode()


@pytest.mark.parametrize("role", ["Operator", "Engineer"])
def test_a_member_who_may_upload_sends_a_file(role):
    client = client_of(role)
    assert post(client, UPLOAD, MAX_UPLOAD_BYTES + 1).status_code == 413
    with pytest.raises(AssertionError, match="the body was read"):
        post(client, UPLOAD, MAX_UPLOAD_BYTES)


def test_a_viewer_sends_no_file():
    client = client_of("Viewer")
    assert post(client, UPLOAD, MAX_BODY_BYTES + 1).status_code == 413
    assert post(client, UPLOAD, MAX_BODY_BYTES).status_code == 403


def test_only_the_page_that_takes_a_file_takes_a_large_body():
    client = client_of("Engineer")
    for path in ("/checks/bulk", reverse("admin:index")):
        assert post(client, path, MAX_BODY_BYTES + 1).status_code == 413


@pytest.mark.parametrize("path", [UPLOAD, "/admin/login/"])
def test_a_body_of_unknown_length_is_refused(path):
    answer = post(client_of("Engineer"), path, "", HTTP_TRANSFER_ENCODING="chunked")
    assert answer.status_code == 411
    assert "Content-Length" in answer.content.decode()


@pytest.mark.parametrize("length", ["many", "-5", "+5", "1.5"])
def test_a_length_that_is_no_number_is_refused(length):
    assert post(Client(), "/admin/login/", length).status_code == 411
