"""Each decision that an operator asks about is one log line with fields, and no line contains a secret."""

import logging

import pytest
import trustme
from cryptography.fernet import Fernet

from integrations import services
from integrations.models import Integration
from tests.integrations import sending
from tests.integrations.test_tls import server_context
from tests.integrations.test_tokens import granted, saved
from tests.receiver import Behaviour, Receiver

EVENT = {"id": "1", "detail": {}}
BASIC = {"type": "basic", "username": "robot", "password": "the-password-of-robot"}


@pytest.fixture
def lines(caplog):
    """The records of this app whose text is the one asked for."""
    caplog.set_level(logging.DEBUG, "integrations")

    def found(text):
        return [r for r in caplog.records if r.getMessage() == text and r.name.startswith("integrations.")]

    return found


@pytest.fixture
def fields(lines):
    """The fields of the only line with that text."""

    def found(text):
        [record] = lines(text)
        return vars(record)

    return found


def webhook(receiver, **changes):
    document = {"url": receiver.url("/hook"), "authorization": BASIC, **changes}
    return services.save_integration(name="SOC", kind="webhook", document=document).integration


@pytest.mark.django_db
def test_a_token_is_logged_when_it_is_fetched_and_when_the_receiver_refuses_it(receiver, fields, caplog):
    receiver.script("/token", [granted("first-token"), granted("second-token")])
    receiver.script("/hook", [Behaviour(status=401), Behaviour(status=200)])
    integration = saved(receiver)
    sending.probe(integration, EVENT)
    refused = fields("Token refused by the receiver")
    assert (refused["target"], refused["generation"]) == (integration.name, 1)
    fetched = [r for r in caplog.records if r.getMessage() == "Token fetched"]
    assert [record.generation for record in fetched] == [1, 2]
    assert "first-token" not in caplog.text
    assert "client-secret" not in "".join(str(vars(record)) for record in caplog.records)


@pytest.mark.django_db
def test_a_token_that_is_not_fetched_is_logged_with_the_reason(receiver, fields):
    receiver.script("/token", Behaviour(status=400, body=b'{"error":"invalid_client"}'))
    sending.probe(saved(receiver), EVENT)
    assert "invalid_client" in fields("Token not fetched")["reason"]


@pytest.mark.django_db
def test_a_refused_address_is_logged_with_host_and_reason(receiver, settings, fields):
    integration = webhook(receiver, allow_plain_http=True)
    settings.ALLOWED_NETWORKS = []
    sending.probe(integration, EVENT)
    refused = fields("Address refused")
    assert (refused["host"], "loopback" in refused["reason"]) == ("127.0.0.1", True)


@pytest.mark.django_db
def test_a_refused_certificate_is_logged_with_the_host(fields):
    context = server_context(trustme.CA().issue_cert("localhost"))
    with Receiver(context, host="localhost") as receiver:
        sending.probe(webhook(receiver), EVENT)
    refused = fields("Certificate refused")
    assert (refused["host"], "unable to get local issuer" in refused["reason"]) == ("localhost", True)


@pytest.mark.django_db
def test_a_connectivity_test_is_logged_with_its_result(receiver, fields):
    receiver.script("/hook", Behaviour(status=503))
    integration = webhook(receiver)
    sending.probe(integration, EVENT)
    tested = fields("Connectivity tested")
    assert (tested["target"], tested["kind"], tested["result"]) == ("SOC", "webhook", "retryable")
    assert tested["integration_id"] == integration.pk


@pytest.mark.django_db
def test_each_change_of_state_is_logged_with_its_reason(receiver, fields):
    integration = webhook(receiver)
    services.pause(integration, "Paused by ann.")
    services.resume(integration)
    services.disable(integration, "410 Gone.")
    assert fields("Target paused")["reason"] == "Paused by ann."
    assert fields("Target resumed")["target"] == "SOC"
    assert fields("Target disabled")["reason"] == "410 Gone."
    services.delete_integration(integration)
    assert fields("Target deleted")["target"] == "SOC"


@pytest.mark.django_db
def test_a_change_is_logged_with_its_columns_and_without_values(receiver, fields, caplog):
    integration = webhook(receiver)
    assert fields("Target added")["kind"] == "webhook"
    document = {"url": receiver.url("/other"), "authorization": BASIC | {"password": "another-password"}}
    services.save_integration(name="SOC", kind="webhook", document=document, integration=integration)
    assert fields("Target changed")["columns"] == ["sealed"]
    assert "password" not in str([vars(record) for record in caplog.records])


@pytest.mark.django_db
def test_secrets_that_are_sealed_again_are_logged_with_their_number(receiver, settings, fields):
    webhook(receiver)
    settings.FIELD_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_KEYS]
    count = services.rotate_keys()
    assert count == Integration.objects.count() + 1, "the signing secret too"
    assert fields("Secrets sealed again with the first key")["rows"] == count
