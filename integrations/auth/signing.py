"""Signatures by the Standard Webhooks specification (v1, HMAC-SHA256).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets as random
from collections.abc import Iterable
from itertools import pairwise

from integrations.errors import IntegrationError

PREFIX = "whsec_"
# 24 random bytes have about 23 different values; the chance of fewer than this is below 1 in 10 ** 12.
LEAST_DIFFERENT = 12


class SigningSecretError(IntegrationError, ValueError):
    """A malformed or guessable ``whsec_`` secret. The message shows the expected form, never the value."""


def new_signing_secret() -> str:
    """A random ``whsec_`` secret of 32 bytes."""
    return PREFIX + base64.b64encode(random.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The 24 to 64 bytes of a ``whsec_…`` secret. Raises :class:`SigningSecretError`."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise SigningSecretError(
            "Write whsec_ followed by 24 to 64 bytes in base64, or leave it out to have one generated."
        )
    return key


def check_signing_secret(secret: str) -> None:
    """Raises :class:`SigningSecretError` for a secret that is malformed or guessable. For secrets from a form or file."""
    if is_guessable(key_of(secret)):
        raise SigningSecretError(
            "This secret can be guessed: its bytes repeat or count up. Write whsec_ followed by 24 to 64 random bytes "
            "in base64, or leave it out to have one generated."
        )


def is_guessable(key: bytes) -> bool:
    """Whether a key is not random: few different bytes, a pattern that repeats, or even steps."""
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    repeats = any(key[period:] == key[:-period] for period in range(1, len(key) // 2 + 1))
    return len(set(key)) < LEAST_DIFFERENT or len(steps) == 1 or repeats


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """``v1,<base64>`` over id, timestamp (epoch seconds) and body, joined by dots."""
    content = b"%s.%d.%s" % (id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()


def headers(secrets: Iterable[str], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers, with a signature for each live secret: during a rotation a receiver may verify either."""
    signatures = " ".join(sign(secret, id, timestamp, body) for secret in secrets)
    result = {"webhook-id": id, "webhook-timestamp": str(timestamp)}
    return {**result, "webhook-signature": signatures} if signatures else result
