"""Access tokens by OAuth client credentials: fetched once, shared, renewed early.

A token is in the cache of this process and, sealed, in the row :class:`OAuthToken`, which all processes and hosts
share. Threads of one process wait for the same fetch. Of all processes, the one whose conditional update takes the
row's claim asks the endpoint; the others wait for the row to change.
"""

import json
import logging
import secrets as random
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote_plus, urlencode

from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from integrations.auth.parameters import (
    allows_plain_http,
    parameters_of,
    secret_texts,
    timeouts,
    to_texts,
    user_agent,
    with_query,
)
from integrations.auth.sealing import seal, unseal_or_none
from integrations.auth.token_answers import AnswerError, parse_token_answer
from integrations.errors import IntegrationError
from integrations.json_types import JsonMapping
from integrations.masking import mask, url_secrets
from integrations.models import OAuthToken
from integrations.target_data import Target
from integrations.transport import http, tls
from integrations.transport.results import MAX_REASON, Result, parse_retry_after

log = logging.getLogger(__name__)

# Renewed when a tenth of its life, at most a minute, is left.
MARGIN_SHARE, MARGIN_SECONDS = 0.1, 60
POLL_SECONDS = 0.05
# The text of the token step starts so if the token was fetched in this attempt.
NEW_TOKEN = "New token"  # noqa: S105  no secret


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. ``generation`` counts the tokens of this target: a higher one replaces a refused token."""

    text: str = field(repr=False)
    expires_at: datetime
    renew_at: datetime
    generation: int
    fingerprint: str = ""

    def is_fresh(self, now: datetime) -> bool:
        return now < self.renew_at


class TokenError(IntegrationError):
    """No token was fetched, so nothing is sent. ``result``, ``status`` (of an endpoint that refused) and ``retry_after``
    (seconds) are those of the attempt."""

    def __init__(
        self,
        reason: str,
        result: Result = Result.RETRYABLE,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.result, self.retry_after, self.status = result, retry_after, status


_lock = threading.Lock()
_cache: dict[int, Token] = {}
_flights: dict[tuple[int, str, int], "Future[tuple[Token, str]]"] = {}
# Target → time (of time.monotonic) until which a 403 does not renew its token: a new token got 403 too.
_forbidden: dict[int, float] = {}
FORBIDDEN_SECONDS = 60.0


def forget_tokens() -> None:
    """Empty this process's cache."""
    with _lock:
        _cache.clear()
        _forbidden.clear()


def may_be_revoked(target: Target, status: int, step: str) -> bool:
    """Whether an answer can mean that the token was revoked, so that another one may help.

    ``step`` says where the token comes from. 401 and 407 say so. 403 may: of a token from the cache, unless a new token of
    this target met 403 within a minute, which means a missing permission.
    """
    if status != HTTPStatus.FORBIDDEN:
        return status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
    return not step.startswith(NEW_TOKEN) and _forbidden.get(target.id, 0) < time.monotonic()


def note_forbidden(target: Target) -> None:
    """Remember that a new token of this target met 403."""
    _forbidden[target.id] = time.monotonic() + FORBIDDEN_SECONDS


def token_of(target: Target, refused: Token | None = None) -> tuple[Token, str]:
    """A token, and in words where it comes from. Raises :class:`TokenError`.

    ``refused`` is the token that the receiver answered with 401, 403 or 407: another is returned.
    """
    fingerprint = _fingerprint(target)
    if refused is not None:
        log.warning(
            "Token refused by the receiver", extra=_log_fields(target) | {"generation": refused.generation}
        )
    after = refused.generation if refused is not None and refused.fingerprint == fingerprint else 0
    with _lock:
        cached = _cache.get(target.id)
        if cached and _is_usable(cached, fingerprint, after):
            return cached, "Token from the cache."
        key = (target.id, fingerprint, after)
        flight = _flights.get(key)
        is_first = flight is None
        if flight is None:
            flight = _flights[key] = Future()
    if is_first:
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


def _is_usable(token: Token, fingerprint: str, after: int) -> bool:
    return token.fingerprint == fingerprint and token.generation > after and token.is_fresh(timezone.now())


def _shared(target: Target, fingerprint: str, after: int) -> tuple[Token, str]:
    """The token of the row, or a new one if this process takes the claim."""
    was_open = connection.connection is not None
    try:
        return _from_row(target, fingerprint, after)
    finally:
        # A thread of the dispatcher's pool must not keep a database connection: nothing would close it.
        if not was_open and not connection.in_atomic_block:
            connection.close()


def _from_row(target: Target, fingerprint: str, after: int) -> tuple[Token, str]:
    times = timeouts(target)
    lease = timedelta(seconds=times["connect"] + times["answer"] + 5)
    give_up = time.monotonic() + lease.total_seconds() * 2
    OAuthToken.objects.get_or_create(integration_id=target.id)
    while True:
        row = OAuthToken.objects.get(integration_id=target.id)
        current = _of_row(row)
        if current and _is_usable(current, fingerprint, after):
            return current, "Token shared by another worker."
        claim = random.token_hex(16)
        now = timezone.now()
        free = Q(claimed_until=None) | Q(claimed_until__lt=now)
        claimable = OAuthToken.objects.filter(free, pk=row.pk, generation=row.generation)
        if claimable.update(claim=claim, claimed_until=now + lease):
            return _renew(target, row, claim, fingerprint, current, after)
        if time.monotonic() > give_up:
            raise TokenError("Another worker is still asking for a token.", Result.OURS)
        time.sleep(POLL_SECONDS)


def _renew(
    target: Target, row: OAuthToken, claim: str, fingerprint: str, current: Token | None, after: int
) -> tuple[Token, str]:
    claimed = OAuthToken.objects.filter(pk=row.pk, claim=claim)
    try:
        text, lifetime, step = fetch_token(target)
    except TokenError as problem:
        claimed.update(claim="", claimed_until=None)
        log.warning("Token not fetched", extra=_log_fields(target) | {"reason": str(problem)})
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
    fields = {"generation": token.generation, "lifetime": lifetime}
    log.info("Token fetched", extra=_log_fields(target) | fields)
    return token, step


def _log_fields(target: Target) -> dict[str, object]:
    return {"integration_id": target.id, "target": target.name}


def _token(text: str, fetched: datetime, expires: datetime, generation: int, fingerprint: str) -> Token:
    margin = min((expires - fetched) * MARGIN_SHARE, timedelta(seconds=MARGIN_SECONDS))
    return Token(text, expires, expires - margin, generation, fingerprint)


def _of_row(row: OAuthToken) -> Token | None:
    if not row.sealed or row.expires_at is None:
        return None
    kept = unseal_or_none(row.sealed)
    if kept is None:  # another is fetched
        return None
    fetched = datetime.fromisoformat(kept["fetched_at"])
    return _token(kept["token"], fetched, row.expires_at, row.generation, row.fingerprint)


def _fingerprint(target: Target) -> str:
    """A keyed hash of the token request with its secrets: after an edit it differs, so another token is fetched."""
    asked = [target.settings["authorization"], target.secrets.get("authorization", {})]
    return salted_hmac(
        "integrations.auth.tokens", json.dumps(asked, sort_keys=True), algorithm="sha256"
    ).hexdigest()


def fetch_token(target: Target) -> tuple[str, int, str]:
    """Ask the endpoint for the access token, its lifetime in seconds, and a sentence about it. Raises :class:`TokenError`."""
    method, url, headers, body, auth = token_request(target)
    secrets = [*secret_texts(target.secrets), *url_secrets(target.settings["authorization"]["endpoint"])]
    try:
        answer = http.request(
            method,
            url,
            headers=headers,
            body=body,
            auth=auth,
            tls=tls.tls_of(target),
            plain=allows_plain_http(target.settings),
            **timeouts(target),
        )
    except http.TransportError as error:
        raise TokenError(f"Token endpoint: {error}", error.result, status=error.status) from error
    milliseconds = round(answer.seconds * 1000)
    now = timezone.now()
    try:
        content_type = answer.headers.get("Content-Type", "")
        found = parse_token_answer(answer.status, content_type, answer.body, now, is_cut=answer.cut)
    except AnswerError as problem:
        wait = parse_retry_after(answer.headers.get("Retry-After"), now)
        # Masked before it is cut: a part of a secret would not be found.
        what = _without_token(answer, problem)
        reason = mask(f"Token endpoint: {what}", secrets, is_cut=answer.cut)
        hint = _basic_hint(target, answer.status, str(problem))
        reason = reason[: MAX_REASON - len(hint)] + hint
        # A status of success would look like the receiver's.
        refused = answer.status if answer.status >= 300 else None
        raise TokenError(reason, retry_after=wait, status=refused) from None
    validity = f"valid for {found.lifetime} s"
    if found.is_assumed:
        validity = f"without a usable expires_in; it is renewed after {found.lifetime} s"
    return found.token, found.lifetime, f"{NEW_TOKEN} in {milliseconds} ms, {validity}."


def _without_token(answer: http.HttpAnswer, problem: AnswerError) -> str:
    """Why an answer brings no token. One that broke off says so: after a success instead, after a refusal as well."""
    if answer.is_success:
        return answer.incomplete or str(problem)
    return f"{problem} {answer.incomplete}".strip()


def _basic_hint(target: Target, status: int, problem: str) -> str:
    """A hint for an endpoint that refuses a client whose id or secret is changed by Basic's encoding (RFC
    6749 §2.3.1)."""
    given, secret = target.settings["authorization"], target.secrets["authorization"]
    client = given["client_id"], secret["client_secret"]
    is_refused = status == HTTPStatus.UNAUTHORIZED or "invalid_client" in problem
    if (
        not is_refused
        or given["client_authentication"] != "basic"
        or all(quote_plus(one) == one for one in client)
    ):
        return ""
    return (
        " The client id or secret has characters that HTTP Basic sends encoded (RFC 6749 §2.3.1), which some "
        "endpoints do not decode: if both are right, send the client in the form body."
    )


def token_request(target: Target) -> tuple[str, str, dict[str, str], bytes, http.AuthBase | None]:
    """Method, URL, headers, body and client authentication of the token request (RFC 6749 §4.4.2).

    The form carries ``grant_type``, the client's credentials where they go in the body, and the body parameters.
    With GET, which has no body, the form goes in the query string, as requests-oauthlib sends it.
    """
    given, secret = target.settings["authorization"], target.secrets["authorization"]
    headers = {"Accept": "application/json", "User-Agent": user_agent()}
    headers |= to_texts(parameters_of(given, secret)["header"])
    auth = None
    if given["client_authentication"] == "basic":
        # §2.3.1: each is form-urlencoded before the two are joined.
        auth = http.HTTPBasicAuth(*map(quote_plus, (given["client_id"], secret["client_secret"])))
    url = with_query(*token_address(given, secret))
    if given["method"] == "GET":
        return "GET", url, headers, b"", auth
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return given["method"], url, headers, urlencode(_form(given, secret)).encode(), auth


def token_address(given: JsonMapping, secret: JsonMapping) -> tuple[str, dict[str, str]]:
    """The URL of the token request and its query parameters; ``given`` is the authorization, ``secret`` its secrets."""
    query = to_texts(parameters_of(given, secret)["query"])
    return given["endpoint"], query | _form(given, secret) if given["method"] == "GET" else query


def _form(given: JsonMapping, secret: JsonMapping) -> dict[str, str]:
    form = {"grant_type": "client_credentials"}
    if given["client_authentication"] != "basic":
        form |= {"client_id": given["client_id"], "client_secret": secret["client_secret"]}
    return form | to_texts(parameters_of(given, secret)["body"])
