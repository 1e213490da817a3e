"""The requests of one source: sent by integrations.transport, to the source's own host alone; errors are
:class:`SourceFault`.

A credential goes only to the scheme, host and port that the source was configured with. Answers are JSON, or what
``read_body`` reads.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar
from urllib.parse import urljoin, urlsplit

from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.exceptions import RequestException, TooManyRedirects

from integrations.auth.client_assertions import possession_proof, private_key
from integrations.auth.parameters import user_agent
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.source_data import Fault, RateSeen, SourceFault, SourceSettings
from integrations.sources.shared.provider_call import ProviderCall
from integrations.transport.http import TransportError
from integrations.transport.results import Result, parse_retry_after
from integrations.transport.session import SessionSettings, transport_session
from integrations.transport.tls import Tls

# Characters of a provider's error text that are kept.
MAX_DETAIL = 200
_LINK = re.compile(r'<([^>]*)>\s*;[^,]*?rel="?([^",;]+)"?')


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A successful answer: its headers, and its JSON value."""

    headers: Mapping[str, str]
    value: Json
    url: str

    def objects(self, value: Json = ...) -> list[JsonObject]:
        """The JSON objects of a list, by default of the answer. Raises :class:`SourceFault` for another value."""
        found = self.value if value is ... else value
        if not isinstance(found, list):
            raise SourceFault("The answer is not a list of records.", Fault.TEMPORARY)
        return [item for item in found if isinstance(item, dict)]

    def next_link(self) -> str | None:
        """The URL of the next page by the header ``Link`` (RFC 8288)."""
        links = {rel.lower(): url for url, rel in _LINK.findall(self.headers.get("Link", ""))}
        return urljoin(self.url, links["next"]) if links.get("next") else None


ReadRates = Callable[[Mapping[str, str], str], Mapping[str, RateSeen]]
Explain = Callable[[Json], str]
Classify = Callable[[int, Json], Fault | None]
ReadBody = Callable[[bytes], Json]


def no_rates(headers: Mapping[str, str], limit: str) -> Mapping[str, RateSeen]:
    """For a provider whose answers do not name its limits."""
    return {}


class SourceCall(ProviderCall):
    """Sends the requests of ``source`` to ``base`` and below it, with ``auth``.

    ``read_rates``: the limits that an answer's headers name, with the limit's name. ``explain``: the provider's error
    text in a JSON value, "" for none. ``classify``: the fault of a status and a JSON value, where the status alone does
    not say it. ``read_body``: the value of a body, which raises ValueError for another form than ``form``.
    """

    form: ClassVar[str] = "JSON"

    def __init__(
        self,
        source: SourceSettings,
        base: str,
        *,
        auth: AuthBase | None = None,
        read_rates: ReadRates = no_rates,
        explain: Explain = lambda value: "",
        classify: Classify = lambda status, value: None,
        read_body: ReadBody = json.loads,
    ) -> None:
        super().__init__(source)
        self.base = base.rstrip("/")
        self.auth, self.read_rates, self.explain = auth, read_rates, explain
        self.classify, self.read_body = classify, read_body
        ca = (source.settings.get("tls") or {}).get("ca", "")
        self.session = transport_session(SessionSettings(tls=Tls(ca=ca)))

    def get(
        self,
        path: str,
        *,
        limit: str,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[JsonAnswer, Mapping[str, RateSeen]]:
        """GET a path below the base, or a whole URL of the same host. ``limit``: the name of the limit that counts it.

        Raises :class:`SourceFault`.
        """
        return self.send("GET", path, limit=limit, parameters=parameters, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        *,
        limit: str,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json_body: JsonMapping | None = None,
        auth: AuthBase | None = None,
    ) -> tuple[JsonAnswer, Mapping[str, RateSeen]]:
        """Send one request and read its JSON. Raises :class:`SourceFault`."""
        url, auth = self.url_of(path), auth or self.auth

        def request() -> Response:
            return self.session.request(
                method,
                url,
                params=dict(parameters or {}),
                headers={"Accept": "application/json", "User-Agent": user_agent(), **(headers or {})},
                data=dict(form) if form else None,
                json=json_body,
                auth=auth,
                allow_redirects=False,
            )

        try:
            answer = request()
            if (
                answer.status_code in (400, 401)
                and isinstance(auth, ProofAuth)
                and auth.learns(answer.headers)
            ):
                answer = request()
        except TransportError as error:
            raise SourceFault(self.shown(str(error)), fault_of_transport(error)) from error
        except TooManyRedirects as error:
            status = error.response.status_code if error.response is not None else None
            text = f"The provider answered {status}, a redirect, which is not followed: check the address."
            raise SourceFault(text, Fault.REFUSED, status=status) from None
        except RequestException as error:
            # Such as a URL that requests refuses; its text may hold the URL.
            raise SourceFault(
                f"The request cannot be sent ({type(error).__name__}).", Fault.REFUSED
            ) from None
        self._notice_clock(answer.headers)
        rates = self.read_rates(answer.headers, limit)
        if not answer.ok or 300 <= answer.status_code < 400:
            raise self._fault(answer, rates)
        return JsonAnswer(answer.headers, self._value(answer, rates), answer.url), rates

    def url_of(self, path: str) -> str:
        """The URL of a path, or a whole URL if it is of the same scheme, host and port. Raises :class:`SourceFault`."""
        if "://" not in path:
            return f"{self.base}{path}"
        if _origin(path) != _origin(self.base):
            host = urlsplit(path).hostname or "another host"
            raise SourceFault(
                f"The provider links to {host[:100]}, which is not the address of this source. Nothing was sent there.",
                Fault.REFUSED,
            )
        return path

    def _value(self, answer: Response, rates: Mapping[str, RateSeen]) -> Json:
        try:
            return self.read_body(answer.content)
        except (ValueError, RecursionError):
            kind = answer.headers.get("Content-Type", "").partition(";")[0][:60] or "no content type"
            raise SourceFault(
                f"The provider answered {answer.status_code} with {kind} that is not {self.form}.",
                Fault.TEMPORARY,
                status=answer.status_code,
                rates=rates,
            ) from None

    def _fault(self, answer: Response, rates: Mapping[str, RateSeen]) -> SourceFault:
        status = answer.status_code
        value = self._error_value(answer)
        detail = " ".join(self.shown(self.explain(value)).split())[:MAX_DETAIL].rstrip(".")
        reason = self.shown(f"The provider answered {status}{f': {detail}' if detail else ''}.")
        wait = parse_retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
        fault = self.classify(status, value) or fault_of_status(status)
        if wait is None and fault is Fault.THROTTLED:
            used_up = [seen for seen in rates.values() if seen.remaining <= 0]
            waits = [seen.reset_in if seen.limit > 0 else 1.0 for seen in used_up]
            wait = max(waits) if waits else self.throttle_wait
        return SourceFault(reason, fault, status=status, wait=wait, rates=rates)

    def _error_value(self, answer: Response) -> Json:
        """The value of an answer that is an error; None for another form."""
        try:
            return self.read_body(answer.content)
        except (ValueError, RecursionError):
            return None

    def _notice_clock(self, headers: Mapping[str, str]) -> None:
        try:
            moment = parsedate_to_datetime(headers.get("Date", ""))
            self.clock_skew = (moment - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return


def fault_of_transport(error: TransportError) -> Fault:
    """The fault of a request without an answer."""
    return {Result.OURS: Fault.OURS, Result.PERMANENT: Fault.REFUSED}.get(error.result, Fault.TEMPORARY)


def fault_of_status(status: int) -> Fault:
    """The fault of a status code that is no success."""
    match status:
        case 429:
            return Fault.THROTTLED
        case 401:
            return Fault.CREDENTIAL
        case 403:
            return Fault.PERMISSION
        case 404:
            return Fault.GONE
        case _ if status in (408, 425) or status >= 500:
            return Fault.TEMPORARY
        case _:
            return Fault.REFUSED


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    try:
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        port = -1
    return parts.scheme.lower(), (parts.hostname or "").lower(), port


class HeaderAuth(AuthBase):
    """Sends a credential in the header ``Authorization``."""

    def __init__(self, scheme: str, credential: str) -> None:
        self.value = f"{scheme} {credential}"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = self.value
        return request


class ProofAuth(AuthBase):
    """Proves with each request that this client has the key to which its token is bound (DPoP, RFC 9449).

    ``token``: None for the request of the token itself. A server may ask for a value of its choice in the
    proof, by an error with the header ``DPoP-Nonce``: the request is then sent once more.
    """

    def __init__(self, key: str, token: str | None = None) -> None:
        self.key, self.token, self.nonce = private_key(key), token, ""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["DPoP"] = possession_proof(
            self.key,
            request.method or "GET",
            request.url or "",
            time.time(),
            nonce=self.nonce,
            token=self.token,
        )
        if self.token:
            request.headers["Authorization"] = f"DPoP {self.token}"
        return request

    def learns(self, headers: Mapping[str, str]) -> bool:
        """Whether the answer asks for another nonce than that of the last proof."""
        nonce = headers.get("DPoP-Nonce", "")
        if not nonce or nonce == self.nonce:
            return False
        self.nonce = nonce
        return True


def number_in(headers: Mapping[str, str], name: str) -> float | None:
    """The number in a header; None without one."""
    text = headers.get(name, "").strip()
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found < 1e12 else None


def epoch_rates(headers: Mapping[str, str], limit: str, *, prefix: str) -> Mapping[str, RateSeen]:
    """The limit by the headers ``Limit``, ``Remaining`` and ``Reset`` (epoch seconds by the provider's clock) after ``prefix``."""
    calls, remaining, reset = (
        number_in(headers, f"{prefix}{name}") for name in ("Limit", "Remaining", "Reset")
    )
    if calls is None or remaining is None or reset is None:
        return {}
    try:
        now = parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        now = time.time()
    return {limit: RateSeen(calls, remaining, max(reset - now, 1.0))}


def text_at(value: JsonMapping, key: str) -> str:
    """The text at a key; "" for none or another type."""
    found = value.get(key)
    return found if isinstance(found, str) else ""


def objects_at(value: JsonMapping, key: str) -> list[JsonObject]:
    """The objects of the list at a key; none for another type."""
    found = value.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
