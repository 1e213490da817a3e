"""TLS: verified against the name, with private authorities and client certificates where a target has them."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from cii_project.console.integrations.labels import delivery_advice
from integrations import services
from integrations.target_data import InvalidDocument
from integrations.targets import kind_of
from integrations.transport import http, smtp, tls
from integrations.transport.results import Result
from notifications import services as notification_services
from tests.integrations import sending
from tests.receiver import Behaviour, Receiver

EVENT = {"id": "1", "detail": {}}


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def server_context(certificate, *, version=None, client_ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if version:
        context.maximum_version = version
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        client_ca.configure_trust(context)
    return context


def pem(blob) -> str:
    return blob.bytes().decode()


def trusting(authority) -> tls.Tls:
    return tls.Tls(ca=pem(authority.cert_pem))


def test_a_private_authority_is_trusted_where_the_target_names_it(authority):
    with Receiver(server_context(authority.issue_cert("localhost")), host="localhost") as receiver:
        assert http.request("POST", receiver.url(), tls=trusting(authority), body=b"{}").status == 200
        assert receiver.requests[0].header("Host") == f"localhost:{receiver.port}"


def test_a_tls_connection_is_used_again(authority):
    with Receiver(server_context(authority.issue_cert("localhost")), host="localhost") as receiver:
        for _ in range(4):
            http.request("POST", receiver.url(), tls=trusting(authority), body=b"{}")
        assert receiver.connections == 1


def test_what_one_target_trusts_another_does_not(authority):
    with Receiver(server_context(authority.issue_cert("localhost")), host="localhost") as receiver:
        http.request("POST", receiver.url(), tls=trusting(authority))
        with pytest.raises(http.ReceiverUnreachable, match="certificate of localhost was refused"):
            http.request("POST", receiver.url())


def test_a_self_signed_certificate_is_refused(authority):
    with Receiver(server_context(trustme.CA().issue_cert("localhost")), host="localhost") as receiver:
        with pytest.raises(
            http.ReceiverUnreachable, match="certificate of localhost was refused: unable to get local issuer"
        ):
            http.request("POST", receiver.url(), tls=trusting(authority))
        assert not receiver.requests


def test_a_certificate_for_another_name_is_refused(authority):
    with (
        Receiver(server_context(authority.issue_cert("other.example")), host="localhost") as receiver,
        pytest.raises(http.ReceiverUnreachable, match="Hostname mismatch"),
    ):
        http.request("POST", receiver.url(), tls=trusting(authority))


def test_a_certificate_for_the_address_holds_for_the_address_only(authority):
    with Receiver(server_context(authority.issue_cert("127.0.0.1"))) as receiver:
        assert http.request("POST", receiver.url(), tls=trusting(authority)).status == 200
        with pytest.raises(http.ReceiverUnreachable, match="was refused"):
            http.request("POST", f"https://localhost:{receiver.port}/", tls=trusting(authority))


def test_an_expired_certificate_is_refused(authority):
    import datetime

    expired = authority.issue_cert("localhost", not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    with (
        Receiver(server_context(expired), host="localhost") as receiver,
        pytest.raises(http.ReceiverUnreachable, match="has expired"),
    ):
        http.request("POST", receiver.url(), tls=trusting(authority))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_before_1_2_is_refused(authority):
    context = server_context(authority.issue_cert("localhost"))
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        Receiver(context, host="localhost") as receiver,
        pytest.raises(http.ReceiverUnreachable, match="No TLS connection"),
    ):
        http.request("POST", receiver.url(), tls=trusting(authority))


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"x"])
def test_a_port_that_answers_without_tls_is_said_so(said):
    with answering_in_the_clear(said) as port:
        url = f"https://127.0.0.1:{port}/"
        with pytest.raises(http.ReceiverUnreachable) as caught:
            http.request("POST", url)
    assert str(caught.value).startswith(
        f"127.0.0.1 answers without TLS at port {port}, so it is no https address."
    )


@pytest.mark.django_db
def test_the_advice_is_another_address_and_no_certificate():
    with answering_in_the_clear(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        document = {
            "url": f"https://127.0.0.1:{port}/",
            "authorization": {"type": "basic", "username": "u", "password": "p"},
        }
        integration = services.save_integration(name="plain", kind="webhook", document=document).integration
        delivery = notification_services.test_connectivity(integration)
    advice = delivery_advice(delivery, None)
    assert "does not speak TLS" in advice
    assert "PEM" not in advice


def test_a_mail_server_that_answers_without_tls_is_said_so():
    """STARTTLS and TLS from the start mixed up."""
    with answering_in_the_clear(b"220 mail.example.com ESMTP\r\n") as port:
        server = smtp.MailServer("127.0.0.1", port, security="tls", connect=3, answer=3)
        with pytest.raises(http.ReceiverUnreachable, match=r"answers without TLS .* Choose STARTTLS"):
            smtp.submit(server, "a@example.com", ["b@example.com"], b"Subject: x\r\n\r\n")


@contextmanager
def answering_in_the_clear(said: bytes) -> Iterator[int]:
    """The port of a server that sends ``said`` to one connection."""

    def answer() -> None:
        peer, _ = listener.accept()
        peer.sendall(said.ljust(5, b"x"))
        peer.recv(4096)
        peer.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_handshake_that_hangs_is_cut_off():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = time.monotonic()
        with pytest.raises(http.ReceiverUnreachable, match=r"did not start TLS within 0\.3 s"):
            http.request("POST", f"https://127.0.0.1:{listener.getsockname()[1]}/", connect=0.3)
        assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "behaviour",
    [Behaviour(drip_head=0.1), Behaviour(delay=3)],
)
def test_a_drip_through_tls_is_cut_off_too(authority, behaviour):
    with Receiver(server_context(authority.issue_cert("localhost")), host="localhost") as receiver:
        receiver.script("/hook", behaviour)
        with pytest.raises(http.ReceiverUnreachable, match=r"within 0\.4 s"):
            http.request("POST", receiver.url(), tls=trusting(authority), answer=0.4)


def test_a_body_that_drips_through_tls_is_cut_off_and_its_status_counts(authority):
    with Receiver(server_context(authority.issue_cert("localhost")), host="localhost") as receiver:
        receiver.script("/hook", Behaviour(status=500, body=b"x" * 99, drip_body=0.1))
        answer = http.request("POST", receiver.url(), tls=trusting(authority), answer=0.4)
    assert (answer.status, answer.body[:1]) == (500, b"x")
    assert "within 0.4 s" in answer.incomplete


def test_a_client_certificate_is_shown_to_a_receiver_that_asks_for_one(authority):
    client_ca = trustme.CA()
    mine = client_ca.issue_cert("client@example.com")
    chain = "".join(pem(blob) for blob in mine.cert_chain_pems)
    given = tls.Tls(pem(authority.cert_pem), chain, pem(mine.private_key_pem))
    context = server_context(authority.issue_cert("localhost"), client_ca=client_ca)
    with Receiver(context, host="localhost") as receiver:
        assert http.request("POST", receiver.url(), tls=given).status == 200
        with pytest.raises(
            http.ReceiverUnreachable, match=r"TLS connection \((TLSV13_ALERT_)?CERTIFICATE_REQUIRED"
        ):
            http.request("POST", receiver.url(), tls=trusting(authority))
    assert "PRIVATE KEY" not in repr(given)


@pytest.mark.django_db
def test_a_webhook_with_private_ca_and_client_certificate_delivers(authority):
    client_ca = trustme.CA()
    mine = client_ca.issue_cert("client@example.com")
    key = pem(mine.private_key_pem)
    document = {
        "authorization": {"type": "api_key", "name": "X-K", "value": "v-123"},
        "tls": {
            "ca": pem(authority.cert_pem),
            "client_certificate": pem(mine.cert_chain_pems[0]),
            "client_key": key,
        },
    }
    context = server_context(authority.issue_cert("localhost"), client_ca=client_ca)
    with Receiver(context, host="localhost") as receiver:
        document["url"] = receiver.url()
        integration = services.save_integration(name="mtls", kind="webhook", document=document).integration
        assert "PRIVATE KEY" not in str(services.document_of(integration))
        assert sending.probe(integration, EVENT).result == Result.DELIVERED
        again = services.save_integration(
            name="mtls", kind="webhook", document=services.document_of(integration), integration=integration
        )
        assert not again.changed


def test_certificates_that_cannot_be_used_are_errors_at_their_place(authority):
    mine, other = authority.issue_cert("a"), authority.issue_cert("b")
    certificate, key = pem(mine.cert_chain_pems[0]), pem(mine.private_key_pem)
    for path, given in [
        ("tls.ca", {"ca": "hello"}),
        ("tls.ca", {"ca": key}),
        ("tls.client_key", {"client_certificate": certificate}),
        ("tls.client_certificate", {"client_key": key}),
        ("tls.client_certificate", {"client_certificate": "hello", "client_key": key}),
        ("tls.client_key", {"client_certificate": certificate, "client_key": "hello"}),
        (
            "tls.client_certificate",
            {"client_certificate": certificate, "client_key": pem(other.private_key_pem)},
        ),
    ]:
        document = {
            "url": "https://a.example",
            "authorization": {"type": "api_key", "name": "X-K", "value": "v"},
            "tls": given,
        }
        with pytest.raises(InvalidDocument) as caught:
            kind_of("webhook").clean(document)
        assert list(caught.value.errors) == [path]
        assert key[40:80] not in str(caught.value)
