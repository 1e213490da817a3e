"""Mail by the APIs of SendGrid, Mailgun and Microsoft Graph: the same mail as by SMTP, sent another way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from integrations import services
from integrations.target_data import InvalidDocument
from integrations.targets import KINDS
from integrations.transport.results import Result
from tests.doubles import mail_apis
from tests.doubles.mail_apis import DOMAIN, GraphApi, MailgunApi, SendGridApi
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

pytestmark = pytest.mark.django_db
MAIL = {
    "sender": "checks@example.com",
    "sender_name": "Identity checks",
    "to": ["soc@example.com", "iam@example.com"],
}


@dataclass(frozen=True)
class Vendor:
    kind: str
    api: Callable[[Receiver], Any]
    document: dict[str, Any]
    secret: str


VENDORS = {
    "sendgrid": Vendor("sendgrid", SendGridApi, {"api_key": mail_apis.SENDGRID_KEY}, "api_key"),
    "mailgun": Vendor("mailgun", MailgunApi, {"api_key": mail_apis.MAILGUN_KEY, "domain": DOMAIN}, "api_key"),
    "msgraph": Vendor(
        "msgraph",
        GraphApi,
        {
            "tenant_id": mail_apis.TENANT,
            "client_id": mail_apis.TENANT,
            "client_secret": mail_apis.CLIENT_SECRET,
        },
        "client_secret",
    ),
}
every_vendor = pytest.mark.parametrize("vendor", VENDORS.values(), ids=list(VENDORS))


def target(vendor: Vendor, receiver: Receiver, **more: Any):
    addresses = {"api_url": receiver.url("")} | (
        {"login_url": receiver.url("")} if vendor.kind == "msgraph" else {}
    )
    document = {**vendor.document, **MAIL, **addresses, **more}
    made = services.save_integration(
        name=f"Mail {sorted(more.items())}"[:60], kind=vendor.kind, document=document
    )
    return services.target_of(made.integration)


def recipients(sent: Any) -> list[str]:
    if isinstance(sent, dict):
        return [to["email"] for to in sent["personalizations"][0]["to"]]
    return [address.addr_spec for address in sent[1]["To"].addresses]


def texts(sent: Any) -> tuple[str, str]:
    """Plain text and HTML."""
    if isinstance(sent, dict):
        plain, html = (part["value"] for part in sent["content"])
        return plain, html
    parts = (sent[1].get_body((name,)) for name in ("plain", "html"))
    plain, html = (part.get_content().replace("\r\n", "\n") for part in parts)
    return plain, html


@every_vendor
def test_a_list_and_a_person_get_the_mail_that_smtp_sends(vendor, receiver):
    api, to = vendor.api(receiver), target(vendor, receiver)
    smtp = KINDS["email"]
    for event in (events.failed(), events.direct(message=events.formatted("<b>kim</b>"))):
        outcome = events.send(KINDS[vendor.kind], event, to)
        assert outcome.result is Result.DELIVERED, outcome.reason
        by_smtp = mail_apis.mail_of(
            smtp.render(event, events.target(smtp, {**MAIL, "host": "mail.example.com"})).body
        )
        assert texts(api.sent[-1]) == texts((None, by_smtp))
    assert [recipients(sent) for sent in api.sent] == [
        ["soc@example.com", "iam@example.com"],
        ["ann@example.com"],
    ]


@every_vendor
def test_a_digest_goes_once_to_a_mailbox_that_is_named_twice(vendor, receiver):
    api = vendor.api(receiver)
    to = target(vendor, receiver, to=["soc@example.com", "soc@EXAMPLE.com", "iam@example.com"])
    assert events.send(KINDS[vendor.kind], events.failed(), to).result is Result.DELIVERED
    assert [recipients(sent) for sent in api.sent] == [["soc@example.com", "iam@example.com"]]


@every_vendor
def test_a_test_without_recipients_sends_nothing_to_others(vendor, receiver):
    api = vendor.api(receiver)
    outcome = events.send(KINDS[vendor.kind], events.connectivity(), target(vendor, receiver, to=[]))
    assert outcome.result is Result.DELIVERED, outcome.reason
    kept = api.sent if vendor.kind == "msgraph" else api.tried
    assert [recipients(one) for one in kept] == [["checks@example.com"]]
    assert vendor.kind == "msgraph" or api.sent == []


@every_vendor
def test_a_person_who_cannot_be_written_to_is_not_the_targets_failure(vendor, receiver):
    vendor.api(receiver)
    to = target(vendor, receiver)
    for email in ("gone@example.com", ""):
        outcome = events.send(KINDS[vendor.kind], events.direct(email, message="Hello"), to)
        assert (outcome.result, outcome.concerns_recipient) == (Result.PERMANENT, True)
    in_list = target(vendor, receiver, to=["gone@example.com"])
    outcome = events.send(KINDS[vendor.kind], events.failed(), in_list)
    assert (outcome.result, outcome.concerns_recipient) == (Result.PERMANENT, False)


@pytest.mark.parametrize(
    ("kind", "status", "body", "concerns_recipient"),
    [
        ("mailgun", 400, {"message": "'to' parameter is not a valid address. please check documentation"}, True),
        ("mailgun", 400, {"message": "to parameter is not a valid address. please check documentation"}, True),
        ("mailgun", 400, {"message": "'from' parameter is not a valid address. please check documentation"}, False),
        ("mailgun", 400, {"message": "'to' parameter is missing"}, False),
        ("mailgun", 401, {"message": "'to' parameter is not a valid address."}, False),
        ("mailgun", 400, {"message": None}, False),
        ("sendgrid", 400, {"errors": [{"message": "No.", "field": "personalizations.0.to.0.email"}]}, True),
        ("sendgrid", 400, {"errors": [{"message": "No.", "field": "from.email"}]}, False),
        ("sendgrid", 400, {"errors": [{"message": None, "field": None}]}, False),
        ("msgraph", 400, {"error": {"code": "ErrorInvalidRecipients", "message": "No."}}, True),
        ("msgraph", 400, {"error": {"code": "ErrorInvalidUser", "message": "No."}}, False),
        ("msgraph", 400, {"error": {"code": None, "message": None}}, False),
    ],
)  # fmt: skip
def test_a_refusal_of_the_recipient_is_not_the_targets(receiver, kind, status, body, concerns_recipient):
    VENDORS[kind].api(receiver).answer = mail_apis.answer(status, body)
    outcome = events.send(KINDS[kind], events.direct(message="Hello"), target(VENDORS[kind], receiver))
    assert (outcome.result, outcome.concerns_recipient) == (Result.PERMANENT, concerns_recipient)


@every_vendor
def test_a_wrong_secret_is_a_refusal_without_it(vendor, receiver):
    vendor.api(receiver)
    wrong = target(vendor, receiver, **{vendor.secret: "another-secret-of-ours"})
    outcome = events.send(KINDS[vendor.kind], events.failed(), wrong)
    # A token endpoint's refusal may pass: a new secret takes minutes to be known everywhere.
    assert outcome.result is (Result.RETRYABLE if vendor.kind == "msgraph" else Result.PERMANENT)
    assert "another-secret-of-ours" not in repr(outcome)


@every_vendor
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_retried(vendor, receiver, status):
    vendor.api(receiver).answer = Behaviour(status=status)
    assert (
        events.send(KINDS[vendor.kind], events.failed(), target(vendor, receiver)).result is Result.RETRYABLE
    )


@pytest.mark.parametrize("kind", ["mailgun", "msgraph"])
def test_a_page_instead_of_the_api_is_no_delivery(kind, receiver):
    VENDORS[kind].api(receiver).answer = Behaviour(body=b"<html>Sign in</html>")
    outcome = events.send(KINDS[kind], events.failed(), target(VENDORS[kind], receiver))
    assert outcome.result is Result.RETRYABLE


@every_vendor
def test_a_wrong_address_is_refused_when_it_is_saved(vendor, receiver):
    for change in ({"sender": "checks"}, {"to": ["soc@@example.com"]}):
        with pytest.raises(InvalidDocument) as caught:
            target(vendor, receiver, **change)
        assert list(caught.value.errors) == list(change)


def test_graph_signs_in_as_an_application_and_sends_as_the_mailbox_of_the_sender(receiver):
    api = GraphApi(receiver)
    to = target(VENDORS["msgraph"], receiver)
    events.send(KINDS["msgraph"], events.failed(), to)
    assert [mailbox for mailbox, _ in api.sent] == ["checks@example.com"]
    assert api.scopes[0].endswith("%2F.default")
    other = target(VENDORS["msgraph"], receiver, sender="other@example.com")
    outcome = events.send(KINDS["msgraph"], events.failed(), other)
    assert "There is no mailbox with the sender's address" in outcome.reason


def test_sendgrid_rewrites_no_link_and_counts_no_reader(receiver):
    api = SendGridApi(receiver)
    to = target(
        VENDORS["sendgrid"], receiver, unsubscribe="mailto:soc@example.com", reply_to="soc@example.com"
    )
    events.send(KINDS["sendgrid"], events.failed(), to)
    (message,) = api.sent
    assert message["tracking_settings"]["click_tracking"]["enable"] is False
    assert message["tracking_settings"]["open_tracking"]["enable"] is False
    assert message["headers"]["List-Unsubscribe"] == "<mailto:soc@example.com>"
    assert (message["from"], message["reply_to"]) == (
        {"email": "checks@example.com", "name": "Identity checks"},
        {"email": "soc@example.com"},
    )
    assert message["custom_args"] == {"delivery": str(events.DELIVERY)}
