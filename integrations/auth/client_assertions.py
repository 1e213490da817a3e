"""Signed JSON web tokens with which a client proves itself at a token endpoint (RFC 7515, RFC 7519, RFC 7523). Pure."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from integrations.errors import IntegrationError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# The grant by an assertion that is an authorization itself (RFC 7523 §2.1).
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Okta accepts an hour at most, Entra ten minutes or so; a token request takes seconds.
LIFETIME = 300
Algorithm = Literal["RS256", "PS256"]


class SigningKeyError(IntegrationError, ValueError):
    """A private key or certificate that cannot be used; the text never holds it."""


def private_key(pem: str) -> RSAPrivateKey:
    """The RSA key of a PEM text without a passphrase. Raises :class:`SigningKeyError`."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SigningKeyError(
            "Paste an RSA private key without a passphrase: -----BEGIN PRIVATE KEY----- …"
        ) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        raise SigningKeyError("Use an RSA key of at least 2,048 bits.")
    return key


def signed_token(
    claims: Mapping[str, object],
    key: RSAPrivateKey,
    header: Mapping[str, object],
    algorithm: Algorithm = "RS256",
) -> str:
    """The claims as a compact JWS."""
    head = {"alg": algorithm, "typ": "JWT", **header}
    text = f"{_encoded(_json(head))}.{_encoded(_json(claims))}"
    digest = hashes.SHA256()
    scheme = (
        padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
        if algorithm == "PS256"
        else padding.PKCS1v15()
    )
    return f"{text}.{_encoded(key.sign(text.encode(), scheme, digest))}"


def client_claims(
    client_id: str, audience: str, now: float, *, lifetime: int = LIFETIME
) -> dict[str, object]:
    """The claims of a client assertion (RFC 7523 §3), valid for ``lifetime`` seconds."""
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": int(now),
        "nbf": int(now) - 30,
        "exp": int(now) + lifetime,
        "jti": secrets.token_urlsafe(24),
    }


def new_proof_key() -> str:
    """The PEM of a new key for proofs of possession: one for each access token."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def possession_proof(
    key: RSAPrivateKey, method: str, url: str, now: float, *, nonce: str = "", token: str | None = None
) -> str:
    """A DPoP proof (RFC 9449 §4.2) for one request. ``nonce``: the server's; ``token``: the access token that is sent."""
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "e": _number(numbers.e), "n": _number(numbers.n)}
    claims: dict[str, object] = {
        "htm": method,
        "htu": url.partition("?")[0].partition("#")[0],
        "iat": int(now),
        "jti": secrets.token_urlsafe(24),
    }
    if nonce:
        claims["nonce"] = nonce
    if token:
        claims["ath"] = _encoded(hashlib.sha256(token.encode()).digest())
    return signed_token(claims, key, {"typ": "dpop+jwt", "jwk": jwk})


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def certificate_thumbprint(pem: str) -> str:
    """The header ``x5t#S256`` of a certificate (RFC 7515 §4.1.8). Raises :class:`SigningKeyError`."""
    return _encoded(hashlib.sha256(_certificate(pem).public_bytes(serialization.Encoding.DER)).digest())


def belongs_together(certificate: str, key: RSAPrivateKey) -> bool:
    """Whether a certificate is of the key. Raises :class:`SigningKeyError`."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return _certificate(certificate).public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


def _certificate(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise SigningKeyError("Paste the certificate: -----BEGIN CERTIFICATE----- …") from None


def claims_of(token: str) -> dict[str, object]:
    """The claims of a token without verifying it, empty where it is no JWT: to show what it grants."""
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
