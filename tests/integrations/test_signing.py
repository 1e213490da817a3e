"""Signatures, checked by the reference library of Standard Webhooks."""

import base64
import hashlib
import json
import os
import time

import pytest
from django.core.management import CommandError, call_command
from standardwebhooks import Webhook, WebhookVerificationError

from integrations import services
from integrations.auth import signing
from integrations.target_data import InvalidDocument

BODY = json.dumps({"detail": "ü"}, ensure_ascii=False).encode()


def headers(*secrets, body=BODY, at=None):
    return signing.headers(secrets, "7c0f", at or int(time.time()), body)


def test_the_reference_library_verifies_a_signature():
    secret = signing.new_signing_secret()
    assert Webhook(secret).verify(BODY, headers(secret)) == {"detail": "ü"}


def test_both_live_secrets_verify_during_a_rotation():
    old, new = signing.new_signing_secret(), signing.new_signing_secret()
    sent = headers(new, old)
    assert sent["webhook-signature"].count("v1,") == 2
    for secret in (old, new):
        Webhook(secret).verify(BODY, sent)


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret"])
def test_nothing_of_it_can_be_changed(change):
    secret = signing.new_signing_secret()
    sent, body = headers(secret), BODY
    if change == "body":
        body = BODY + b" "
    elif change == "secret":
        secret = signing.new_signing_secret()
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
    assert headers(at=5) == {"webhook-id": "7c0f", "webhook-timestamp": "5"}


def test_a_new_secret_has_32_bytes():
    assert len(signing.key_of(signing.new_signing_secret())) == 32


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_24_to_64_bytes_is_taken(size):
    assert len(signing.key_of("whsec_" + base64.b64encode(b"k" * size).decode())) == size


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_short",
        "whsec_" + "k" * 20 + "!\n" + "k" * 20,
        base64.b64encode(b"k" * 32).decode(),
        "whsec_" + "k" * 43 + "!",
    ]
    + ["whsec_" + base64.b64encode(b"k" * size).decode() for size in (23, 65)],
)
def test_any_other_is_refused_without_being_repeated(secret):
    with pytest.raises(signing.SigningSecretError) as caught:
        signing.key_of(secret)
    assert len(secret) < 8 or secret not in str(caught.value)


def encoded(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


WEAK = [
    bytes(24),
    b"k" * 32,
    b"abcdefgh" * 4,
    bytes(range(24)),
    bytes(range(64, 0, -2)),
    b"0123456789ab" * 2,
    b"ab" * 20,
]


@pytest.mark.parametrize("key", WEAK)
def test_a_secret_that_can_be_guessed_is_refused_without_being_repeated(key):
    with pytest.raises(signing.SigningSecretError, match="can be guessed") as caught:
        signing.check_signing_secret(encoded(key))
    assert encoded(key) not in str(caught.value)


def test_one_that_was_made_is_never_refused():
    for _ in range(300):
        signing.check_signing_secret(signing.new_signing_secret())
        signing.check_signing_secret(encoded(os.urandom(24)))


def test_one_that_is_stored_signs_however_weak():
    assert signing.sign(encoded(bytes(24)), "msg", 1, b"").startswith("v1,")


@pytest.mark.django_db
@pytest.mark.parametrize("key", WEAK[:2])
def test_a_form_a_file_a_rotation_and_the_receiver_refuse_it_alike(key, tmp_path):
    secret = encoded(key)
    document = {
        "url": "https://hook.example.com/in", "authorization": {"type": "basic", "username": "u", "password": "pass-word-1"},
    }  # fmt: skip
    with pytest.raises(InvalidDocument) as caught:
        services.save_integration(
            name="a", kind="webhook", document={**document, "signing": {"secret": secret}}
        )
    assert "can be guessed" in caught.value.errors["signing.secret"]
    made = services.save_integration(name="a", kind="webhook", document=document).integration
    with pytest.raises(signing.SigningSecretError, match="can be guessed"):
        services.rotate_signing_secret(made, secret=secret)
    path = tmp_path / "c.yaml"
    path.write_text(f"integrations: [{{name: a, signing: {{secret: '{secret}'}}}}]")
    for command in (("apply_config", path), ("receiver", "--port", "0", "--signing-secret", secret)):
        with pytest.raises(CommandError, match="can be guessed") as refused:
            call_command(*command)
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("check", "secret", "said"),
    [
        (
            signing.key_of,
            "whsec_",
            "Write whsec_ followed by 24 to 64 bytes in base64, or leave it out to have one generated.",
        ),
        (
            signing.check_signing_secret,
            encoded(bytes(24)),
            "This secret can be guessed: its bytes repeat or count up. Write whsec_ followed by 24 to 64 random bytes "
            "in base64, or leave it out to have one generated.",
        ),
    ],
)
def test_the_refusal_of_a_secret_says_what_to_write_instead(check, secret, said):
    with pytest.raises(signing.SigningSecretError) as caught:
        check(secret)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("key", "guessable"),
    [
        (bytes(range(240, 256)) + bytes(range(16)), True),
        (bytes(range(0, 192, 6)), True),
        (bytes(range(31, -1, -1)), True),
        (hashlib.sha256(b"a").digest()[:16] * 2, True),
        (hashlib.sha256(b"a").digest()[:20] + hashlib.sha256(b"a").digest()[:12], False),
        # A pattern that does not fill the key to its end, and one longer than half of the key.
        ((bytes([7, 1, 9, 3, 11, 5, 2, 8, 0, 10, 6, 4, 12]) * 3)[:32], True),
        ((hashlib.sha256(b"a").digest()[:17] * 2)[:32], False),
        (b"ab" * 16, True),
        (bytes([7, 1, 9, 3, 11, 5, 2, 8, 0, 10, 6]) + bytes([6, 0, 3]) * 7, True),
        (bytes([7, 1, 9, 3, 11, 5, 2, 8, 0, 10, 6, 4]) + bytes([6, 0, 3]) * 7, False),
        (hashlib.sha256(b"b").digest(), False),
    ],
)
def test_a_key_that_counts_repeats_or_has_few_different_bytes_can_be_guessed(key, guessable):
    assert signing.is_guessable(key) is guessable
