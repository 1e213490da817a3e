"""Access tokens by OAuth client credentials: fetched once, shared, renewed early.

A token lives in three places: the cache of this process, the row :class:`OAuthToken` (sealed) that all
processes and hosts share, and the endpoint. Threads of one process join one flight; of all processes, the one
whose conditional update takes the row's claim asks the endpoint, and the others wait for the row to change.
"""

import json
import secrets as random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from oauthlib.oauth2 import BackendApplicationClient
from oauthlib.oauth2.rfc6749.errors import MissingTokenError, OAuth2Error

from integrations import http, tls
from integrations.models import OAuthToken
from integrations.outcomes import Result, masked, retry_after
from integrations.parameters import as_texts, of_target, secret_texts, timeouts, user_agent, with_query
from integrations.sealing import seal, unseal

if TYPE_CHECKING:
    from integrations.targets.base import Target

# Where the endpoint names no lifetime (RFC 6749 §5.1 lets it): an hour; a 401 renews sooner.
DEFAULT_LIFETIME = 3600
MAX_LIFETIME = 30 * 24 * 3600
# Renewed when a tenth of its life, at most a minute, is left.
MARGIN_SHARE, MARGIN_SECONDS = 0.1, 60
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Token:
    """``generation`` counts the tokens of this target, so that a refused one is told from its successor."""

    text: str = field(repr=False)
    expires_at: datetime
    renew_at: datetime
    generation: int
    fingerprint: str = ""

    def fresh(self, now: datetime) -> bool:
        return now < self.renew_at


class NoToken(Exception):
    """No token, so nothing is sent. ``result`` says whether the next attempt may fare better."""

    def __init__(
        self, reason: str, result: Result = Result.RETRYABLE, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.result, self.retry_after = result, retry_after


_lock = threading.Lock()
_cache: dict[int, Token] = {}
_flights: dict[tuple[int, str, int], "Future[tuple[Token, str]]"] = {}


def forget() -> None:
    """Empty this process's cache."""
    with _lock:
        _cache.clear()


def token_of(target: "Target", refused: Token | None = None) -> tuple[Token, str]:
    """A token that may be sent and what happened at the endpoint for it. Raises :class:`NoToken`.

    ``refused`` is the token that the receiver answered with 401 or 407: another one is returned.
    """
    fingerprint = _fingerprint(target)
    after = refused.generation if refused is not None and refused.fingerprint == fingerprint else 0
    with _lock:
        cached = _cache.get(target.id)
        if cached and _usable(cached, fingerprint, after):
            return cached, "Token from the cache."
        key = (target.id, fingerprint, after)
        flight = _flights.get(key)
        mine = flight is None
        if flight is None:
            flight = _flights[key] = Future()
    if mine:
        try:
            result = _shared(target, fingerprint, after)
            with _lock:
                _cache[target.id] = result[0]
            flight.set_result(result)
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            with _lock:
                del _flights[key]
    return flight.result()


def _usable(token: Token, fingerprint: str, after: int) -> bool:
    return token.fingerprint == fingerprint and token.generation > after and token.fresh(timezone.now())


def _shared(target: "Target", fingerprint: str, after: int) -> tuple[Token, str]:
    """The token of the row, or a new one if this process gets the claim."""
    was_open = connection.connection is not None
    try:
        return _from_row(target, fingerprint, after)
    finally:
        # A thread of the dispatcher's pool must not keep a connection that nobody would ever close.
        if not was_open and not connection.in_atomic_block:
            connection.close()


def _from_row(target: "Target", fingerprint: str, after: int) -> tuple[Token, str]:
    lease = timedelta(seconds=sum(timeouts(target).values()) + 5)
    give_up = time.monotonic() + lease.total_seconds() * 2
    OAuthToken.objects.get_or_create(integration_id=target.id)
    while True:
        row = OAuthToken.objects.get(integration_id=target.id)
        current = _of_row(row)
        if current and _usable(current, fingerprint, after):
            return current, "Token shared by another worker."
        claim = random.token_hex(16)
        now = timezone.now()
        free = Q(claimed_until=None) | Q(claimed_until__lt=now)
        mine = OAuthToken.objects.filter(free, pk=row.pk, generation=row.generation)
        if mine.update(claim=claim, claimed_until=now + lease):
            return _renew(target, row, claim, fingerprint, current, after)
        if time.monotonic() > give_up:
            raise NoToken("Another worker is still asking for a token.", Result.OURS)
        time.sleep(POLL_SECONDS)


def _renew(
    target: "Target", row: OAuthToken, claim: str, fingerprint: str, current: Token | None, after: int
) -> tuple[Token, str]:
    claimed = OAuthToken.objects.filter(pk=row.pk, claim=claim)
    try:
        text, lifetime, step = fetch(target)
    except NoToken as problem:
        claimed.update(claim="", claimed_until=None)
        valid = current and current.fingerprint == fingerprint and current.generation > after
        if valid and current and current.expires_at > timezone.now():
            return current, f"Renewal failed, the old token still holds: {problem}"
        raise
    except BaseException:
        claimed.update(claim="", claimed_until=None)
        raise
    now = timezone.now()
    token = _token(text, now, now + timedelta(seconds=lifetime), row.generation + 1, fingerprint)
    claimed.update(
        claim="",
        claimed_until=None,
        fingerprint=fingerprint,
        sealed=seal({"token": text, "fetched_at": now.isoformat()}),
        expires_at=token.expires_at,
        generation=token.generation,
    )
    return token, step


def _token(text: str, fetched: datetime, expires: datetime, generation: int, fingerprint: str) -> Token:
    margin = min((expires - fetched) * MARGIN_SHARE, timedelta(seconds=MARGIN_SECONDS))
    return Token(text, expires, expires - margin, generation, fingerprint)


def _of_row(row: OAuthToken) -> Token | None:
    if not row.sealed or row.expires_at is None:
        return None
    kept = unseal(row.sealed)
    fetched = datetime.fromisoformat(kept["fetched_at"])
    return _token(kept["token"], fetched, row.expires_at, row.generation, row.fingerprint)


def _fingerprint(target: "Target") -> str:
    """Of all that a token is asked with, secrets too, so that an edit asks anew; keyed, so that it tells nothing."""
    asked = [target.settings["authorization"], target.secrets.get("authorization", {})]
    return salted_hmac(
        "integrations.tokens", json.dumps(asked, sort_keys=True), algorithm="sha256"
    ).hexdigest()


def fetch(target: "Target") -> tuple[str, int, str]:
    """Ask the endpoint: the access token, its lifetime in seconds, what happened. Raises :class:`NoToken`."""
    method, url, headers, body, auth = token_request(target)
    secrets = secret_texts(target.secrets.get("authorization", {}))
    try:
        answer = http.request(
            method, url, headers=headers, body=body, auth=auth, tls=tls.of(target), **timeouts(target)
        )
    except http.Refused as error:
        raise NoToken(f"Token endpoint: {error}", Result.PERMANENT) from error
    except http.Fault as error:
        raise NoToken(f"Token endpoint: {error}", Result.OURS) from error
    except http.DoorError as error:
        raise NoToken(f"Token endpoint: {error}") from error
    milliseconds = round(answer.seconds * 1000)
    try:
        token, lifetime = parse(answer.status, answer.headers.get("Content-Type", ""), answer.body)
    except NoToken as problem:
        wait = retry_after(answer.headers.get("Retry-After"), timezone.now())
        raise NoToken(f"Token endpoint: {masked(str(problem), secrets)}", retry_after=wait) from None
    return token, lifetime, f"New token in {milliseconds} ms, valid for {lifetime} s."


def token_request(target: "Target") -> tuple[str, str, dict[str, str], bytes, http.AuthBase | None]:
    """Method, URL, headers, body and client authentication of the token request (RFC 6749 §4.4.2).

    The form carries ``grant_type``, the client's credentials where they go in the body, and the body parameters.
    With GET, which has no body, the form goes in the query string, as requests-oauthlib sends it.
    """
    given: Mapping[str, Any] = target.settings["authorization"]
    client = given["client_id"], target.secrets["authorization"]["client_secret"]
    parameters = of_target(given, target.secrets["authorization"])
    headers = {"Accept": "application/json", "User-Agent": user_agent(), **as_texts(parameters["header"])}
    form = {"grant_type": "client_credentials"}
    auth = None
    if given["client_authentication"] == "basic":
        # §2.3.1: each is form-urlencoded before the two are joined.
        auth = http.HTTPBasicAuth(*map(quote_plus, client))
    else:
        form |= dict(zip(("client_id", "client_secret"), client, strict=True))
    form |= as_texts(parameters["body"])
    query = as_texts(parameters["query"])
    if given["method"] == "GET":
        return "GET", with_query(given["endpoint"], query | form), headers, b"", auth
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return given["method"], with_query(given["endpoint"], query), headers, urlencode(form).encode(), auth


def parse(status: int, content_type: str, body: bytes) -> tuple[str, int]:
    """The token and its lifetime from the endpoint's answer. Raises :class:`NoToken` that names what is wrong."""
    text = body.decode("utf-8", "replace")
    if not 200 <= status < 300:
        redirect = "; redirects are not followed" if 300 <= status < 400 else ""
        raise NoToken(f"it answered {status}{redirect}{_named_error(text)}.")
    start = text.lstrip()[:1]
    if "html" in content_type.lower() or start == "<":
        raise NoToken(f"it answered {status} with HTML instead of a token.")
    if start != "{" and "access_token=" not in text:
        raise NoToken(f"it answered {status} with {content_type or 'no content type'}, not a JSON object.")
    try:
        if start == "{":
            json.loads(text)  # oauthlib would take text that is no JSON for a form
        found = BackendApplicationClient("").parse_request_body_response(text)
    except MissingTokenError:
        raise NoToken(f"it answered {status} without access_token.") from None
    except OAuth2Error as error:
        said = ": ".join(str(part) for part in (error.error, error.description) if part)
        raise NoToken(f"it answered {status} with the error {said[:200]}.") from None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise NoToken(
            f"it answered {status} with JSON that cannot be read or an expires_in that is no number."
        ) from None
    return _access_token(found), _lifetime(found.get("expires_in"))


def _access_token(found: Mapping[str, Any]) -> str:
    token, kind = found.get("access_token"), found.get("token_type", "Bearer")
    if not isinstance(token, str) or not token:
        raise NoToken(f"its access_token is no text but {type(token).__name__}.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise NoToken("its access_token holds characters that no header may hold.")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NoToken(f"its token_type is “{str(kind)[:40]}”; only Bearer can be sent.")
    return token


def _lifetime(value: Any) -> int:
    if value is None:
        return DEFAULT_LIFETIME
    try:
        return min(max(int(value), 0), MAX_LIFETIME)
    except (ValueError, TypeError, OverflowError):
        raise NoToken("its expires_in is no number.") from None


def _named_error(text: str) -> str:
    """RFC 6749 §5.2: ``error`` and ``error_description``, where the answer has them."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # the latter for brackets, thousands deep
        return ""
    if not isinstance(found, dict) or not isinstance(found.get("error"), str):
        return ""
    description = found.get("error_description")
    more = f" ({description[:200]})" if isinstance(description, str) else ""
    return f": {found['error'][:100]}{more}"
