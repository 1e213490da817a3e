"""Kind by authorization by place: what another side sends back of the secrets that it got, in each encoding, shows nowhere."""

import json
import logging
import socket
import threading
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from cii_project.audit.models import AuditEntry
from integrations import services
from integrations.auth.parameters import secret_texts
from integrations.models import Integration
from integrations.targets import KINDS
from notifications.models import Attempt, Delivery
from notifications.services import test_connectivity as connect
from tests.console.checks_world import client_of, text
from tests.doubles.mail import talking
from tests.integrations.encodings import encodings, traces
from tests.integrations.targets.test_every_kind import SAMPLES, document
from tests.receiver import Behaviour

pytestmark = pytest.mark.django_db
WEBHOOK = {
    "basic": {"type": "basic", "username": "robot", "password": "correct horse & battery"},
    "api key": {"type": "api_key", "name": "X-Api-Key", "value": "Splunk 0f1e2d3c-4b5a"},
    "oauth, body": {
        "type": "oauth", "endpoint": "{here}/token?key=key-of-the-endpoint", "client_id": "robot",
        "client_secret": "p@ss word/of+the client", "parameters": {"body": {"x": {"value": "hidden in the form", "secret": True}}},
    },
    "oauth, basic": {
        "type": "oauth", "endpoint": "{here}/token?key=key-of-the-endpoint", "client_id": "robot",
        "client_secret": "p@ss word/of+the client", "client_authentication": "basic",
    },
}  # fmt: skip
PARAMETERS = {
    "header": {"X-Hidden": {"value": "hidden in a header", "secret": True}},
    "query": {"hidden": {"value": "hidden/in the query", "secret": True}},
    "body": {"hidden": {"value": 'hidden "in" the body', "secret": True}},
}
IN_URLS = ["signature-of-the-url", "0123456789abcdef", "key-of-the-endpoint", "secret-in-the-url"]
TOKENS = ["first-access-token-0123456789", "second-access-token-9876543210"]


@dataclass(frozen=True)
class Case:
    name: str
    kind: str
    sample: dict

    @property
    def has_token(self) -> bool:
        return (
            self.kind in ("sentinel", "msgraph")
            or self.sample.get("authorization", {}).get("type") == "oauth"
        )


CASES = [
    *(
        Case(f"webhook, {name}", "webhook", {"url": "{here}/hook/0123456789abcdef?sig=signature-of-the-url", "authorization": one, "parameters": PARAMETERS})
        for name, one in WEBHOOK.items()
    ),
    *(Case(f"{kind} {n}", kind, one) for kind, all in SAMPLES.items() for n, one in enumerate(all) if "{here}" in json.dumps(one)),
]  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def every_form(secrets: list[str]) -> str:
    return " | ".join(form.replace("\n", " ") for secret in secrets for form in encodings(secret).values())


def in_body(echo: str) -> Behaviour:
    return Behaviour(status=500, body=echo.encode())


def at_the_cut_of_the_record(echo: str) -> Behaviour:
    return Behaviour(status=500, body=b"x" * (8 * 1024 - 12) + b" " + echo.encode())


def at_the_cut_of_the_answer(echo: str) -> Behaviour:
    return Behaviour(status=500, body=b"x" * (64 * 1024 - 12) + b" " + echo.encode())


def in_headers(echo: str) -> Behaviour:
    forms = echo.split(" | ")
    values = [" ".join(forms[n::20]) for n in range(20)]
    return Behaviour(status=500, headers=[(f"X-Echo-{n}", value[:60_000]) for n, value in enumerate(values)])


def at_the_cut_of_a_header(echo: str) -> Behaviour:
    return Behaviour(status=500, headers=[("X-Echo", "x" * 505 + " " + echo[:8000])])


def as_the_error(echo: str) -> Behaviour:
    named = dict.fromkeys(("message", "errorMessages", "errors", "code", "error_description"), echo)
    answer = {**named, "errorMessages": [echo], "error": {"message": echo, "code": echo}}
    return Behaviour(status=400, body=json.dumps(answer).encode())


def as_a_short_error(echo: str) -> Behaviour:
    return Behaviour(status=400, body=echo[:60].encode())


PLACES = [
    in_body, at_the_cut_of_the_record, at_the_cut_of_the_answer, in_headers, at_the_cut_of_a_header, as_the_error, as_a_short_error,
]  # fmt: skip


def saved(case: Case, receiver) -> Integration:
    return services.save_integration(
        name="Sample", kind=case.kind, document=document(case.sample, receiver)
    ).integration


def secrets_of(integration: Integration, case: Case) -> list[str]:
    target = services.target_of(integration)
    given = [*secret_texts(target.secrets), *target.signing_secrets]
    in_urls = [one for one in IN_URLS if one in json.dumps(case.sample)]
    return [*given, *in_urls, *(TOKENS if case.has_token else ())]


def scripted(receiver, case: Case, answer: Behaviour, token: Behaviour | None = None) -> None:
    """Each path gives ``answer``; the first call with a token is refused, so that a second is fetched."""
    tokens = iter(TOKENS)
    refused = []

    def reply(request):
        if "token" in request.path:
            granted = {"access_token": next(tokens, TOKENS[1]), "token_type": "Bearer", "expires_in": 600}
            return token or Behaviour(body=json.dumps(granted).encode())
        if case.has_token and not refused:
            refused.append(request)
            return Behaviour(status=401)
        return answer

    class Everywhere(dict):
        def get(self, path, default=None):
            return self["/"]

    receiver.script("/", reply)
    receiver._scripts = Everywhere(receiver._scripts)


PAGES = [
    "/deliveries/{delivery}/",
    "/deliveries/",
    "/integrations/{integration}/",
    "/integrations/",
    "/",
    "/metrics",
]


def shown_anywhere(integration: Integration, delivery: Delivery, log: str, pages: list[str]) -> str:
    """All that is stored, logged or shown of a delivery, to who may see most."""
    client = client_of("Engineer")
    pages = [page.format(delivery=delivery.id, integration=integration.pk) for page in pages]
    attempts = Attempt.objects.filter(delivery=delivery).values()
    stored = [*attempts, *AuditEntry.objects.values(), *Delivery.objects.filter(id=delivery.id).values()]
    integration.refresh_from_db()
    return "\n".join(
        [*map(repr, stored), repr(integration.settings), log, *(text(client.get(page)) for page in pages)]
    )


@every_case
@pytest.mark.parametrize("place", PLACES, ids=[place.__name__ for place in PLACES])
def test_what_a_receiver_sends_back_shows_nowhere(case, place, receiver, caplog):
    caplog.set_level(logging.DEBUG)
    integration = saved(case, receiver)
    secrets = secrets_of(integration, case)
    scripted(receiver, case, place(every_form(secrets)))
    delivery = connect(integration)
    assert len(receiver.requests) >= (4 if case.has_token else 1)
    assert Attempt.objects.get(delivery=delivery).status_code in (400, 500)
    # What is stored is what the pages show: two places stand for all.
    pages = PAGES if place in (in_body, as_the_error) else []
    shown = shown_anywhere(integration, delivery, caplog.text, pages)
    assert {secret: found for secret in secrets if (found := traces(secret, shown))} == {}


@pytest.mark.parametrize("case", [case for case in CASES if case.has_token], ids=lambda case: case.name)
def test_what_a_token_endpoint_sends_back_shows_nowhere(case, receiver, caplog):
    caplog.set_level(logging.DEBUG)
    integration = saved(case, receiver)
    secrets = secrets_of(integration, case)
    for secret in [one for one in secrets if one not in TOKENS]:
        for place in ("error", "error_description", "token_type", "Content-Type"):
            echo = "x" * 90 + " " + every_form([secret])
            answer = {"error": "invalid_client", "access_token": "granted-token-1", place: echo}
            token = Behaviour(status=401 if "error" in place else 200, body=json.dumps(answer).encode())
            if place == "Content-Type":
                token = Behaviour(status=200, body=b"no token", headers=[("Content-Type", echo[:8000])])
            if "type" in place:
                answer.pop("error")
            scripted(receiver, case, Behaviour(), token)
            delivery = connect(integration)
            attempt = Attempt.objects.get(delivery=delivery)
            assert "Token endpoint" in attempt.reason
            shown = f"{attempt.reason}{attempt.token_step}{delivery.reason}{caplog.text}"
            assert traces(secret, shown) == []


@pytest.mark.parametrize("reply", ["AUTH", "MAIL", "RCPT", "EHLO"])
def test_what_a_mail_server_sends_back_shows_nowhere(reply, caplog):
    caplog.set_level(logging.DEBUG)
    password = "correct horse battery"
    echo = " ".join(every_form([password]).split())
    lines = b"".join(b"550-" + echo[at : at + 500].encode() + b"\r\n" for at in range(0, len(echo), 400))
    kind = KINDS["email"]
    assert kind.slug == "email"
    greeting = {
        "": b"220 hi\r\n",
        "EHLO": b"250-hi\r\n250 AUTH PLAIN LOGIN\r\n",
        "AUTH": b"235 in\r\n",
        "MAIL": b"250 ok\r\n",
    }
    with talking({**greeting, reply: lines + b"550 no\r\n"}) as talk:
        integration = services.save_integration(
            name="Mail",
            kind="email",
            document={
                "host": "127.0.0.1", "port": talk.port, "security": "starttls", "login": "password",
                "username": "robot", "password": password, "sender": "a@example.com", "to": ["b@example.com"],
            },
        ).integration  # fmt: skip
        integration.settings["security"] = "none"  # as no form allows it: what matters here are the replies
        integration.save()
        delivery = connect(integration)
    shown = shown_anywhere(integration, delivery, caplog.text, PAGES)
    assert traces(password, shown) == []


@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=lambda case: case.name)
def test_what_a_proxy_sends_back_shows_nowhere(case, receiver, settings, caplog):
    """Its refusal of a CONNECT, whose phrase stands in the error."""
    caplog.set_level(logging.DEBUG)
    password = "pass/word of the proxy"
    integration = saved(case, receiver)
    echo = every_form([password])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings.OUTGOING_PROXY = f"http://robot:{quote(password, safe='')}@127.0.0.1:{port}"

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(f"HTTP/1.1 407 {echo[:8000]}\r\n\r\n".encode())

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        delivery = connect(integration)
        thread.join(10)
    assert "407" in delivery.reason
    assert traces(password, shown_anywhere(integration, delivery, caplog.text, PAGES)) == []


def test_every_kind_that_calls_another_side_is_in_the_table():
    assert {case.kind for case in CASES} | {"email", "file"} == set(KINDS)
