"""Verification of one request. Pure, and independent of the code that signs and authorizes.

The signature is checked here by the Standard Webhooks specification (standardwebhooks.com), not by the
sender's module, so that a mistake there cannot pass.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from integrations.services import load_json

TOLERANCE_SECONDS = 300

Headers = Mapping[str, str]  # names in lower case


@dataclass(slots=True)
class VerificationResult:
    """The result of verifying one request. ``status``: the status of the answer; ``problems``: sentences,
    empty if it is valid.

    ``authorization``: the type that passed; ``signature`` and ``schema``: "valid", "not checked" or the
    problem.
    """

    status: int = 200
    problems: list[str] = field(default_factory=list)
    authorization: str = "not checked"
    signature: str = "not checked"
    schema: str = "not checked"
    id: str = ""
    repeat: bool = False

    @property
    def ok(self) -> bool:
        return not self.problems

    def reject(self, status: int, problem: str) -> None:
        """The first rejection decides the status."""
        if not self.problems:
            self.status = status
        self.problems.append(problem)

    def as_dict(self) -> dict[str, object]:
        return {"ok": self.ok, **asdict(self)}


@dataclass(frozen=True, slots=True)
class ExpectedCredentials:
    """The credentials that requests must have. ``basic`` is ``user:password``; ``api_key`` a header's name
    and value.

    ``knows_token`` says whether a bearer token was issued by this receiver and still lives.
    """

    basic: str | None = None
    api_key: tuple[str, str] | None = None
    knows_token: Callable[[str], bool] | None = None
    signing_secrets: Sequence[str] = ()
    schema_problems: Callable[[object], Sequence[str]] | None = None

    def types(self) -> list[str]:
        given = {"basic": self.basic, "api-key": self.api_key, "oauth": self.knows_token}
        return [name for name, value in given.items() if value is not None]


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(), b.encode())


def _basic_passes(expected: ExpectedCredentials, headers: Headers) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    wanted = base64.b64encode((expected.basic or "").encode()).decode()
    return scheme.lower() == "basic" and _same(given.strip(), wanted)


def _api_key_passes(expected: ExpectedCredentials, headers: Headers) -> bool:
    name, value = expected.api_key or ("", "")
    return _same(headers.get(name.lower(), ""), value)


def _token_passes(expected: ExpectedCredentials, headers: Headers) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(expected.knows_token and expected.knows_token(given.strip()))


PASSES = {"basic": _basic_passes, "api-key": _api_key_passes, "oauth": _token_passes}


def authorize(path: str, headers: Headers, expected: ExpectedCredentials, result: VerificationResult) -> None:
    """A path that starts with ``/basic``, ``/api-key`` or ``/oauth`` takes that type only; others any."""
    wanted = expected.types()
    if not wanted:
        return
    first = path.split("?")[0].strip("/").split("/")[0]
    if first in PASSES:
        if first not in wanted:
            result.reject(404, f"This receiver was not started with an authorization for /{first}.")
            return
        wanted = [first]
    for name in wanted:
        if PASSES[name](expected, headers):
            result.authorization = name
            return
    result.authorization = "refused"
    result.reject(401, f"The request shows no valid {' or '.join(wanted)} authorization.")


def signature_problem(secrets: Sequence[str], headers: Headers, body: bytes, now: float) -> str:
    """The problem of the signature, as a sentence; empty if one of the secrets made it."""
    ident, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    missing = [
        name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not headers.get(name)
    ]
    if missing:
        return f"The header {missing[0]} is missing."
    if not timestamp.isascii() or not timestamp.isdigit():
        return "webhook-timestamp is no number of seconds."
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return f"webhook-timestamp is more than {TOLERANCE_SECONDS} seconds from this receiver's clock."
    signed = f"{ident}.{timestamp}.".encode() + body
    for secret in secrets:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            continue
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        versions = [item.partition(",") for item in given.split()]
        if any(version == "v1" and _same(value, wanted) for version, _, value in versions):
            return ""
    return "webhook-signature was made with none of the secrets that this receiver knows."


def check_signature(
    headers: Headers, body: bytes, expected: ExpectedCredentials, now: float, result: VerificationResult
) -> None:
    if not expected.signing_secrets:
        return
    problem = signature_problem(expected.signing_secrets, headers, body, now)
    result.signature = problem or "valid"
    if problem:
        result.reject(401, problem)


def check_body(
    headers: Headers, body: bytes, expected: ExpectedCredentials, result: VerificationResult
) -> object:
    """The parsed body, None where it is no JSON."""
    try:
        event = load_json(body)
    except ValueError as error:
        result.schema = "no JSON"
        result.reject(400, f"The body cannot be read as JSON: {error}")
        return None
    if expected.schema_problems is None:
        return event
    problems = list(expected.schema_problems(event))
    result.schema = "valid" if not problems else problems[0]
    for problem in problems[:5]:
        result.reject(422, problem)
    if isinstance(event, dict) and "webhook-id" in headers and headers["webhook-id"] != event.get("id"):
        result.reject(422, "The header webhook-id differs from the event's id.")
    return event


def verify_request(
    path: str, headers: Headers, body: bytes, expected: ExpectedCredentials, now: float
) -> tuple[VerificationResult, object]:
    """Verify one request; returns the result and the parsed body."""
    result = VerificationResult()
    authorize(path, headers, expected, result)
    check_signature(headers, body, expected, now, result)
    event = check_body(headers, body, expected, result)
    result.id = str(event.get("id", "")) if isinstance(event, dict) else headers.get("webhook-id", "")
    return result, event
