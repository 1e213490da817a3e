"""AWS Signature Version 4 of a request. Pure.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

The four documented steps: canonical request, string to sign, signing key, ``Authorization``. botocore has a signer too,
with 14 MB of descriptions of services.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from integrations.transport.http import AuthBase, PreparedRequest

ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. ``session_token``: of temporary credentials, which AWS wants in each request beside the signature."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CredentialScope:
    """The scope of a signature: one day, one region, one service."""

    moment: datetime
    region: str
    service: str

    @property
    def timestamp(self) -> str:
        """``20150830T123600Z``"""
        return self.moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

    @property
    def day(self) -> str:
        return self.timestamp[:8]

    def __str__(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


class SignatureV4(AuthBase):
    """Signs a request as it is sent, with the headers that AWS wants signed; a proxy may change the others."""

    def __init__(self, credentials: Credentials, scope: CredentialScope) -> None:
        self.credentials, self.scope = credentials, scope

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        r.headers["X-Amz-Date"] = self.scope.timestamp
        if self.credentials.session_token:
            r.headers["X-Amz-Security-Token"] = self.credentials.session_token
        signed = {"Host": urlsplit(r.url or "").netloc}
        for name, value in r.headers.items():
            if name.lower() == "content-type" or name.lower().startswith("x-amz-"):
                signed[name] = str(value)
        body = r.body if isinstance(r.body, bytes) else (r.body or "").encode()
        r.headers["Authorization"] = authorization(
            r.method or "GET", r.url or "", signed, body, self.credentials, self.scope
        )
        return r


def authorization(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    scope: CredentialScope,
) -> str:
    """The value of the header ``Authorization``, which signs all of ``headers``."""
    names, request = canonical_request(method, url, headers, body, encodes_path=scope.service != "s3")
    signature = _hmac(signing_key(credentials.secret_access_key, scope), string_to_sign(request, scope)).hex()
    return f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"


def canonical_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, encodes_path: bool = True
) -> tuple[str, str]:
    """The names of the signed headers, and the request in the form that is hashed. ``encodes_path``: the path of the URL
    is encoded once more, as all services but S3 do."""
    parts = urlsplit(url)
    values = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(values))
    query = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    lines = [
        method,
        quote(parts.path or "/", safe="/" + _UNRESERVED + ("" if encodes_path else "%")),
        "&".join(f"{name}={value}" for name, value in query),
        *(f"{name}:{values[name]}" for name in sorted(values)),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    ]
    return names, "\n".join(lines)


def string_to_sign(request: str, scope: CredentialScope) -> str:
    digest = hashlib.sha256(request.encode()).hexdigest()
    return "\n".join([ALGORITHM, scope.timestamp, str(scope), digest])


def signing_key(secret_access_key: str, scope: CredentialScope) -> bytes:
    """The key of one day, region and service."""
    key = f"AWS4{secret_access_key}".encode()
    for part in (scope.day, scope.region, scope.service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
