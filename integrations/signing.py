"""Signatures by the Standard Webhooks specification (v1, HMAC-SHA256).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets as random
from collections.abc import Iterable

PREFIX = "whsec_"


class BadSecret(ValueError):
    """No ``whsec_`` secret; the message says what one looks like, never what was given."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(random.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The 24 to 64 bytes of a ``whsec_…`` secret. Raises :class:`BadSecret`."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise BadSecret(
            "Write whsec_ followed by 24 to 64 bytes in base64, or leave it out to have one made."
        )
    return key


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """``v1,<base64>`` over id, timestamp (epoch seconds) and body, joined by dots."""
    content = b"%s.%d.%s" % (id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), content, hashlib.sha256)).decode()


def headers(secrets: Iterable[str], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers; one signature for each live secret, so that a receiver may hold either in a rotation."""
    signatures = " ".join(sign(secret, id, timestamp, body) for secret in secrets)
    result = {"webhook-id": id, "webhook-timestamp": str(timestamp)}
    return {**result, "webhook-signature": signatures} if signatures else result
