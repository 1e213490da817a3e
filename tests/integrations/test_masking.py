"""Secrets in what other sides send back: found in every encoding, whole or cut, within bounds."""

import base64
import html
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from integrations.masking import LONGEST, MASK, mask, mask_bytes, settings_secrets, url_secrets
from tests.integrations.encodings import encodings

SECRETS = [
    "hunter2-hunter2",
    'p@ss "wörd"&<1>\\+/=%25',
    "a b+c/d?e=f&g",
    "x" * 300 + "yz",
    "%41&amp;\\n",
    "日本語のパスワード",
    "🔑🔑🔑🔑",
    "-----BEGIN KEY-----\r\n  MIIEvQIBADAN\n\tBgkqhkiG9w0B\n",
]
CASES = [(secret, name, form) for secret in SECRETS for name, form in encodings(secret).items()]
every_encoding = pytest.mark.parametrize(
    ("secret", "form"),
    [(secret, form) for secret, _, form in CASES],
    ids=[f"{SECRETS.index(secret)}-{name}" for secret, name, _ in CASES],
)


@every_encoding
def test_every_encoding_of_a_secret_is_masked(secret, form):
    shown = mask(f"before [{form}] after", [secret, "another-secret"])
    assert shown.startswith("before [")
    assert shown.endswith("] after")
    # Of base64 what stands around the secret may stay.
    assert MASK in shown
    assert len(shown) <= len("before [] after") + len(MASK) + 10


@every_encoding
def test_a_part_of_a_secret_at_the_end_of_a_cut_text_is_masked(secret, form):
    for length in {8, len(form) // 2, len(form) - 1}:
        shown = mask(f"before {form[:length]}", [secret], is_cut=True)
        # What stays tells less than two characters of the secret: a user name, or half of an escape.
        assert MASK in shown or length < 14, shown
        assert len(shown.replace(MASK, "")) <= len("before ") + 10, shown


@pytest.mark.parametrize("secret", [SECRETS[0], SECRETS[3], "Y2lpOkNvcnJlY3QtSG9yc2UtNDItQmF0dGVyeQ=="])
@pytest.mark.parametrize("fold", ["\n", "\r\n ", "\n\t", "\r\n   ", "\n \t "])
def test_a_secret_in_a_folded_header_is_masked_also_in_json_and_html(secret, fold):
    half = len(secret) // 2
    folded = f"Authorization: Basic {secret[:half]}{fold}{secret[half:]} end"
    for text in (
        folded,
        json.dumps(folded),
        json.dumps(json.dumps(folded)),
        html.escape(json.dumps(folded)),
        quote(folded),
    ):
        shown = mask(text, [secret])
        assert MASK in shown
        assert secret[:half] not in shown
        assert secret[half:] not in shown


def test_a_quotation_that_the_other_side_cut_is_masked():
    token = "eyJhbGciOiJSUzI1NiJ9.abcdefghijklmnopqrstuvwxyz"
    assert mask(f"token {token[:24]}… is unknown", [token]) == f"token {MASK}… is unknown"


def test_a_secret_in_latin_1_is_masked():
    assert mask_bytes("key: pässwörd!".encode("latin-1"), ["pässwörd!"]) == b"key: " + MASK.encode()


@pytest.mark.parametrize("secret", ["hunter2-hunter2", "pässwörd!", "日本語のパスワード"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_a_secret_in_utf_16_is_masked(secret, encoding):
    shown = mask_bytes(f"key: {secret}.".encode(encoding), [secret])
    assert MASK.encode() in shown
    assert len(shown) < len("key: .".encode(encoding)) + 10


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u:", "us:", "usr:"])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_base64_of_base64_is_masked(secret, before, encode):
    once = b"Authorization: Basic " + encode(f"{before}{secret}".encode())
    shown = mask(encode(once).decode(), [secret])
    assert MASK in shown
    # What stays says the header's name, the scheme and the user name.
    assert len(shown) <= len(encode(b"Authorization: Basic " + encode(before.encode()))) + 16


def test_a_secret_in_base64_of_utf_16_is_masked():
    shown = mask(base64.b64encode("u:hunter2-hunter2".encode("utf-16-le")).decode(), ["hunter2-hunter2"])
    assert len(shown.replace(MASK, "")) < 8


@pytest.mark.parametrize("secret", ["pässwörd!", "日本語のパスワード", "12 €/day"])
def test_a_secret_in_utf_8_that_was_read_as_latin_1_is_masked(secret):
    """As http.client reads the headers of an answer."""
    assert mask(f"key: {secret.encode().decode('latin-1')}", [secret]) == f"key: {MASK}"


def test_texts_around_a_secret_stay_and_several_are_masked():
    assert mask("a one-secret b two-secret c", ["one-secret", "two-secret"]) == f"a {MASK} b {MASK} c"
    assert mask("abcdef-123456", ["abcdef", "abcdef-123456"]) == MASK


@pytest.mark.parametrize("text", ["", "ok", "tok", '{"error": "no \\u00e9 &amp; %20"}', "a\r\n b"])
def test_a_text_without_a_secret_is_left_as_it_is(text):
    assert mask(text, ["hunter2-hunter2", "tok", ""]) == text


@given(st.text(), st.text(min_size=4), st.text(), st.booleans())
def test_no_text_breaks_it_and_no_secret_stays(before, secret, after, is_cut):
    if MASK in secret or secret in MASK:
        return
    shown = mask(before + secret + after, [secret], is_cut=is_cut)
    assert isinstance(shown, str)
    if not any(part in MASK for part in secret):
        assert secret not in shown


@pytest.mark.parametrize(
    "data",
    [
        b'{"ok": true, "text": "lorem ipsum"},\n' * 7000,
        b"%41" * 90_000, b"&amp;" * 52_000, b"\\u0041" * 43_000, b"&" * 260_000, b"A" * 1_000_000, b"\r\n" * 130_000,
    ],
)  # fmt: skip
def test_a_hostile_answer_costs_little(data):
    secrets = [f"secret-number-{number}" for number in range(40)] + ["A" * 500, "x" * 4000]
    mask_bytes(b"", secrets)
    start = time.process_time()
    shown = mask_bytes(data, secrets, is_cut=True)
    assert time.process_time() - start < 2
    assert len(shown) <= LONGEST + 16


def test_of_a_url_path_query_and_what_stands_in_them_are_secrets_and_words_are_none():
    found = url_secrets("https://hooks.example.com/services/T0AAAAA1/s3cretpart?sig=abc-def&v=1")
    assert {"/services/T0AAAAA1/s3cretpart?sig=abc-def&v=1", "/services/T0AAAAA1/s3cretpart"} <= set(found)
    assert {"T0AAAAA1", "s3cretpart", "abc-def"} <= set(found)
    assert "services" not in found
    assert mask("invalid_client", url_secrets("https://id.example.com/client")) == "invalid_client"
    assert url_secrets("https://hooks.example.com/") == ()


def test_the_installation_s_own_secrets_are_known(settings):
    settings.DATABASE_URL = "postgres://user:pass%40word-1@db:5432/name"
    settings.REDIS_URL = "redis://:redis-pass-1@host:6379/0"
    settings.OUTGOING_PROXY = "http://robot:proxy#pass-1@proxy:3128"
    settings.EMAIL_HOST_PASSWORD, settings.METRICS_TOKEN = "mail-pass-1", "metrics-token-1"
    found = settings_secrets()
    wanted = {
        "pass%40word-1",
        "pass@word-1",
        "redis-pass-1",
        "proxy#pass-1",
        "mail-pass-1",
        "metrics-token-1",
    }
    assert wanted <= found
    assert {settings.SECRET_KEY, *settings.FIELD_KEYS} <= found
