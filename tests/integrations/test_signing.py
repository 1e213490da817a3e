"""Signatures, checked by the reference library of Standard Webhooks."""

import base64
import json
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from integrations import signing

BODY = json.dumps({"detail": "ü"}, ensure_ascii=False).encode()


def headers(*secrets, body=BODY, at=None):
    return signing.headers(secrets, "7c0f", at or int(time.time()), body)


def test_the_reference_library_verifies_a_signature():
    secret = signing.new_secret()
    assert Webhook(secret).verify(BODY, headers(secret)) == {"detail": "ü"}


def test_both_live_secrets_verify_during_a_rotation():
    old, new = signing.new_secret(), signing.new_secret()
    sent = headers(new, old)
    assert sent["webhook-signature"].count("v1,") == 2
    for secret in (old, new):
        Webhook(secret).verify(BODY, sent)


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret"])
def test_nothing_of_it_can_be_changed(change):
    secret = signing.new_secret()
    sent, body = headers(secret), BODY
    if change == "body":
        body = BODY + b" "
    elif change == "secret":
        secret = signing.new_secret()
    else:
        sent[f"webhook-{change}"] = str(int(time.time()) + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, sent)


def test_the_specification_s_own_example_is_reproduced():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert signing.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_without_a_secret_there_is_no_signature_header():
    assert "webhook-signature" not in headers()
    assert headers()["webhook-id"] == "7c0f"


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_24_to_64_bytes_is_taken(size):
    assert len(signing.key_of("whsec_" + base64.b64encode(b"k" * size).decode())) == size


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_short", base64.b64encode(b"k" * 32).decode(), "whsec_" + "k" * 43 + "!"]
    + ["whsec_" + base64.b64encode(b"k" * size).decode() for size in (23, 65)],
)
def test_any_other_is_refused_without_being_repeated(secret):
    with pytest.raises(signing.BadSecret) as caught:
        signing.key_of(secret)
    assert len(secret) < 8 or secret not in str(caught.value)
