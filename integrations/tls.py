"""TLS contexts: verified against the name, TLS 1.2 at least, per target a private CA and a client certificate."""

import secrets
import ssl
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

if TYPE_CHECKING:
    from integrations.targets.base import Target


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM texts. ``ca`` is trusted beside the public authorities; ``certificate`` (with its chain) and ``key`` go together."""

    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)


def of(target: "Target") -> Tls:
    """The TLS part of a target; it holds for its token endpoint too."""
    given = target.settings.get("tls", {})
    key = target.secrets.get("tls", {}).get("client_key", "")
    return Tls(given.get("ca", ""), given.get("client_certificate", ""), key)


class BadPem(ValueError):
    """``part`` names the field of :class:`Tls`; the message says what to write, never what was given."""

    def __init__(self, part: str, text: str) -> None:
        super().__init__(text)
        self.part = part


def check(tls: Tls) -> None:
    """Raises :class:`BadPem` where the texts are no PEM, or key and certificate do not belong together."""
    for part, pem in (("ca", tls.ca), ("certificate", tls.certificate)):
        if pem:
            try:
                x509.load_pem_x509_certificates(pem.encode())
            except ValueError:
                raise BadPem(part, "Paste one or more certificates: -----BEGIN CERTIFICATE----- …") from None
    if bool(tls.certificate) != bool(tls.key):
        raise BadPem(
            "key" if tls.certificate else "certificate", "A client certificate and its key go together."
        )
    if tls.key:
        _sealed_key(tls.key, b"check")
    try:
        context(tls)
    except ssl.SSLError as error:
        part = "certificate" if tls.certificate else "ca"
        raise BadPem(
            part, f"These certificates cannot be used ({error.reason}); does the key belong to them?"
        ) from None


@lru_cache(maxsize=256)
def context(tls: Tls) -> ssl.SSLContext:
    result = ssl.create_default_context(cafile=certifi.where(), cadata=tls.ca or None)
    result.minimum_version = ssl.TLSVersion.TLSv1_2
    result.set_alpn_protocols(["http/1.1"])
    if tls.certificate:
        # Python loads a key from a file only; so it goes there encrypted, for as long as that takes.
        password = secrets.token_bytes(32).hex()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "client.pem"
            path.write_bytes(tls.certificate.encode() + b"\n" + _sealed_key(tls.key, password.encode()))
            result.load_cert_chain(path, password=password)
    return result


def _sealed_key(pem: str, password: bytes) -> bytes:
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        text = "Paste the private key without a passphrase: -----BEGIN PRIVATE KEY----- …"
        raise BadPem("key", text) from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
