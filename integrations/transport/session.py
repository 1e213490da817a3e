"""An adapter for sessions of requests, whose requests then go through http.py: addresses, TLS, deadlines, limits.

Sources read pages of records, so the limits are wider than for messages: 16 MiB and 60 seconds an answer, which may be
compressed with gzip and is inflated up to the same limit.
"""

import zlib
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from io import BytesIO
from typing import TypeVar

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from integrations.transport import http
from integrations.transport.http import AnswerLimits, ReceiverUnreachable
from integrations.transport.tls import Tls

MAX_PAGE = 16 * 1024 * 1024
SOURCE_LIMITS = AnswerLimits(body=MAX_PAGE, received=MAX_PAGE + 1024 * 1024)
SOURCE_SECONDS = 60.0
GZIP_WINDOW = 16 + zlib.MAX_WBITS
S = TypeVar("S", bound=Session)


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Settings of an adapter: seconds to connect and to answer, limits of an answer, certificates."""

    connect: float = http.CONNECT_SECONDS
    answer: float = SOURCE_SECONDS
    limits: AnswerLimits = SOURCE_LIMITS
    tls: Tls = field(default_factory=Tls)


class TransportAdapter(HTTPAdapter):
    """Sends the requests of a session through :func:`integrations.transport.http.request`.

    Of its base only :meth:`build_response` is used; its pool of connections stays empty.
    """

    def __init__(self, settings: SessionSettings = SessionSettings()) -> None:
        super().__init__()
        self.settings = settings

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: object = True,
        cert: object = None,
        proxies: object = None,
    ) -> Response:
        """Send one request. Raises :class:`~integrations.transport.http.TransportError`.

        What the session says of time, certificates and proxies has no effect: the product's settings decide.
        """
        body = request.body or b""
        answer = http.request(
            request.method or "GET",
            request.url or "",
            headers={**request.headers, "Accept-Encoding": "gzip"},
            body=body.encode() if isinstance(body, str) else bytes(body),
            connect=self.settings.connect,
            answer=self.settings.answer,
            tls=self.settings.tls,
            limits=self.settings.limits,
        )
        return self.build_response(request, _raw_response(answer, self.settings.limits.body))


def transport_session(settings: SessionSettings = SessionSettings()) -> Session:
    """A session of requests that sends through http.py: no proxy, netrc file or certificate of the
    environment, no redirects."""
    return with_transport(Session(), settings)


def with_transport(session: S, settings: SessionSettings = SessionSettings()) -> S:
    """The session, which may be one of requests-oauthlib, with its adapters replaced by one that sends
    through http.py."""
    session.trust_env, session.max_redirects = False, 0
    session.adapters.clear()
    # A session is used by several threads, and no provider's API needs a cookie.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for prefix in ("https://", "http://"):
        session.mount(prefix, TransportAdapter(settings))
    return session


def _raw_response(answer: http.HttpAnswer, most: int) -> HTTPResponse:
    if answer.incomplete:
        raise ReceiverUnreachable(answer.incomplete, answer.status)
    if answer.cut:
        raise ReceiverUnreachable(f"The answer is longer than {most:,} bytes.", answer.status)
    body, headers = answer.body, HTTPHeaderDict(answer.headers.items())
    if headers.get("Content-Encoding", "").strip().lower() == "gzip":
        body = _inflated(body, most, answer.status)
    # The body is complete and decoded: the headers about its length and encoding no longer apply.
    for name in ("Content-Encoding", "Content-Length", "Transfer-Encoding"):
        headers.discard(name)
    return HTTPResponse(BytesIO(body), headers, answer.status, preload_content=False)


def _inflated(body: bytes, most: int, status: int) -> bytes:
    inflater = zlib.decompressobj(GZIP_WINDOW)
    try:
        found = inflater.decompress(body, most + 1)
    except zlib.error:
        raise ReceiverUnreachable("The answer says gzip and is not.", status) from None
    if len(found) > most:
        raise ReceiverUnreachable(f"The answer is longer than {most:,} bytes once inflated.", status)
    if not inflater.eof:
        raise ReceiverUnreachable("The compressed answer is not complete.", status)
    return found
