"""Opening a file over HTTP(S): one GET through integrations.transport, whose body is read as it arrives."""

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from django.utils import timezone
from requests.auth import AuthBase

from integrations.auth.parameters import user_agent
from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources.shared.file_call import MAX_FILE, FileCall, OpenFile
from integrations.sources.shared.source_call import fault_of_status, fault_of_transport, text_at
from integrations.transport.http import AnswerLimits, OpenAnswer, TransportError, open_answer
from integrations.transport.results import parse_retry_after
from integrations.transport.tls import Tls

CONNECT_SECONDS = 10.0
# A report is made while the request waits: minutes may pass before the first byte.
ANSWER_SECONDS = 600.0
LIMITS = AnswerLimits(body=MAX_FILE, received=MAX_FILE + 16 * 1024 * 1024)
MAX_ERROR = 64 * 1024


class HttpFileCall(FileCall):
    """The downloads of one source, authorized with ``auth``."""

    def __init__(self, source: SourceSettings, auth: AuthBase | None) -> None:
        super().__init__(source)
        self.auth = auth
        self.tls = Tls(ca=(source.settings.get("tls") or {}).get("ca", ""))

    def open(self, url: str, headers: Mapping[str, str] | None = None) -> OpenAnswer:
        """The answer to a GET, unread: a success, or 304. Raises :class:`~integrations.source_data.SourceFault`."""
        try:
            answer = open_answer(
                "GET",
                url,
                headers={
                    "Accept": "*/*",
                    "Accept-Encoding": "gzip",
                    "User-Agent": user_agent(),
                    **(headers or {}),
                },
                auth=self.auth,
                connect=CONNECT_SECONDS,
                answer=ANSWER_SECONDS,
                tls=self.tls,
                limits=LIMITS,
            )
        except TransportError as error:
            raise SourceFault(self.shown(str(error)), fault_of_transport(error)) from error
        self._notice_clock(answer.headers)
        if answer.status in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
            return answer
        try:
            raise self._fault(answer)
        finally:
            answer.close()

    def explain(self, body: bytes) -> str:
        """The server's words in the body of an error, where it is JSON; "" for none."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return ""
        inner = value.get("error") if isinstance(value, dict) else None
        for each in (value, inner):
            if isinstance(each, dict):
                for key in ("message", "error_description", "error", "errorSummary"):
                    if text := text_at(each, key):
                        return text
        return ""

    def classify(self, status: int, body: bytes) -> Fault | None:
        """The fault of an answer whose status alone does not say it."""
        return None

    def _fault(self, answer: OpenAnswer) -> SourceFault:
        status = answer.status
        if 300 <= status < 400:
            text = f"The server answered {status}, a redirect, which is not followed: check the address."
            return SourceFault(text, Fault.REFUSED, status=status)
        body = start_of(answer, MAX_ERROR)
        detail = " ".join(self.shown(self.explain(body)).split())[:200].rstrip(".")
        fault = self.classify(status, body) or fault_of_status(status)
        if 200 <= status < 300:
            fault, detail = Fault.REFUSED, "there is no file in such an answer"
        wait = parse_retry_after(answer.headers.get("Retry-After"), timezone.now())
        if wait is None and fault is Fault.THROTTLED:
            wait = self.throttle_wait
        reason = self.shown(f"The server answered {status}{f': {detail}' if detail else ''}.")
        return SourceFault(reason, fault, status=status, wait=wait)

    def _notice_clock(self, headers: Mapping[str, str]) -> None:
        try:
            moment = parsedate_to_datetime(headers.get("Date", ""))
            self.clock_skew = (moment - timezone.now()).total_seconds()
        except (ValueError, TypeError):
            return


def start_of(answer: OpenAnswer, most: int) -> bytes:
    """The first bytes of a body; what cannot be received is left out."""
    found = bytearray()
    try:
        while len(found) < most and (piece := answer.read(most - len(found))):
            found += piece
    except TransportError:
        return bytes(found)
    return bytes(found)


def validators(version: JsonMapping) -> dict[str, str]:
    """The headers that ask for a file only where it is not of this version (RFC 9110 §13.1)."""
    headers = {"If-None-Match": version.get("etag"), "If-Modified-Since": version.get("modified")}
    return {name: str(value) for name, value in headers.items() if value}


def version_of(answer: OpenAnswer) -> JsonObject:
    """ETag and time of the last change, where the answer states them."""
    found = {"etag": answer.headers.get("ETag"), "modified": answer.headers.get("Last-Modified")}
    return {name: value[:500] for name, value in found.items() if value}


def opened(answer: OpenAnswer, name: str) -> OpenFile:
    """The file in the body of an answer."""
    return OpenFile(
        name=name,
        read=answer.read,
        close=answer.close,
        version=version_of(answer),
        content_type=answer.headers.get("Content-Type", ""),
        is_gzip=answer.headers.get("Content-Encoding", "").strip().lower() == "gzip",
    )


def name_in(url: str) -> str:
    """The last part of a URL's path."""
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2]) or "file"
