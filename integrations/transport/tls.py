"""TLS contexts: TLS 1.2 or later, verified against the name, with a private CA and a client certificate per target."""

import secrets
import ssl
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from integrations.errors import IntegrationError
from integrations.target_data import Target


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM texts. ``ca`` is trusted in addition to the public authorities; ``certificate`` (with its chain)
    belongs to ``key``."""

    ca: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)


def tls_of(target: Target) -> Tls:
    """The certificates of a target, for its token endpoint too."""
    given = target.settings.get("tls", {})
    key = target.secrets.get("tls", {}).get("client_key", "")
    return Tls(given.get("ca", ""), given.get("client_certificate", ""), key)


class PemError(IntegrationError, ValueError):
    """Malformed PEM. ``part`` names the field of :class:`Tls`; the message shows the expected form, never the value."""

    def __init__(self, part: str, text: str) -> None:
        super().__init__(text)
        self.part = part


def check_pem(tls: Tls) -> None:
    """Raises :class:`PemError` if a text is not PEM, or if key and certificate do not belong together."""
    for part, pem in (("ca", tls.ca), ("certificate", tls.certificate)):
        if pem:
            try:
                x509.load_pem_x509_certificates(pem.encode())
            except ValueError:
                raise PemError(
                    part, "Paste one or more certificates: -----BEGIN CERTIFICATE----- …"
                ) from None
    if bool(tls.certificate) != bool(tls.key):
        raise PemError(
            "key" if tls.certificate else "certificate", "A client certificate and its key go together."
        )
    if tls.key:
        _sealed_key(tls.key, b"check")
    try:
        ssl_context(tls)
    except ssl.SSLError as error:
        part = "certificate" if tls.certificate else "ca"
        raise PemError(
            part, f"These certificates cannot be used ({error.reason}); does the key belong to them?"
        ) from None


def verifying_context(ca: str = "") -> ssl.SSLContext:
    """A context of TLS 1.2 or later that trusts the public authorities and ``ca`` (PEM or empty)."""
    result = ssl.create_default_context(cafile=certifi.where(), cadata=ca or None)
    result.minimum_version = ssl.TLSVersion.TLSv1_2
    return result


@lru_cache(maxsize=256)
def ssl_context(tls: Tls) -> ssl.SSLContext:
    """The context for these certificates."""
    result = verifying_context(tls.ca)
    result.set_alpn_protocols(["http/1.1"])
    if tls.certificate:
        # Python loads a key only from a file: it is written encrypted and deleted at once.
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
        raise PemError("key", text) from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
