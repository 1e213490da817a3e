"""scim2-tester holds the server against RFC 7643 and RFC 7644, by a client that validates each answer."""

import pytest
from django.core.handlers.wsgi import WSGIHandler
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server

from cii_project.scim import answers
from tests.scim.worlds import Sender

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_server_meets_the_rfcs(sender: Sender, monkeypatch: pytest.MonkeyPatch):
    # The tester fills writable times and addresses with random text: it sees the extensions of the RFC alone.
    original = answers._extensions
    monkeypatch.setattr(
        answers,
        "_extensions",
        lambda kind: {name: found[:1] for name, found in original(kind).items()},
    )
    client = WSGISCIMClient(
        WSGIHandler(),
        base_url="http://testserver/scim/v2/push",
        headers={"Authorization": f"Bearer {sender.token}"},
    )
    results = check_server(client)
    bad = [each for each in results if each.status not in (Status.SUCCESS, Status.SKIPPED, Status.ACCEPTABLE)]
    assert [(each.title, each.status, each.resource_type, each.reason) for each in bad] == []
    assert sum(each.status == Status.SUCCESS for each in results) > 100
