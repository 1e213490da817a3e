"""What the kinds with declared fields share: one attempt of one or more requests through the door."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from integrations import authorization, http, outcomes, tls
from integrations.outcomes import MAX_REASON, Outcome, Result
from integrations.parameters import secret_texts, timeouts, user_agent
from integrations.targets import fields
from integrations.targets.base import Cleaned, Document, Outgoing, Target
from integrations.targets.documents import Reader
from integrations.targets.fields import Field
from integrations.tokens import NoToken

JSON = "application/json; charset=utf-8"
_RESULTS = {http.Refused: Result.PERMANENT, http.Unreachable: Result.RETRYABLE, http.Fault: Result.OURS}


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )


def parsed(body: bytes) -> dict[str, Any]:
    """An answer's JSON object; empty where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # the latter for brackets, thousands deep
        return {}
    return found if isinstance(found, dict) else {}


def objects(answer: Mapping[str, Any], key: str) -> list[dict[str, Any]] | None:
    """The list of JSON objects at ``key``, whatever else may stand in it; None where there is no list."""
    found = answer.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else None


def part(answer: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The JSON object that lies at those keys; empty where there is none."""
    found: Any = answer
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def texts(answer: Mapping[str, Any], key: str) -> list[str]:
    """The list at ``key`` as texts; empty where there is none."""
    found = answer.get(key)
    return [str(item) for item in found] if isinstance(found, list) else []


def _telling(secret: str) -> list[str]:
    """A secret and, of a URL that is one, the parts that an answer may send back without the rest."""
    if not secret.startswith(("https://", "http://")):
        return [secret]
    parts = urlsplit(secret)
    target = secret.partition(parts.netloc)[2]
    values = [value for _, value in parse_qsl(parts.query)]
    return [secret, target, parts.path, parts.path.rpartition("/")[2], *values]


class Call:
    """One attempt: its requests, and its outcome with every secret blotted out."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.start = monotonic()
        self.hidden = [part for text in secret_texts(target.secrets) for part in _telling(text)]
        self.step = ""

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        auth: http.AuthBase | None = None,
    ) -> http.Answer:
        """Raises :class:`~integrations.http.DoorError` or :class:`~integrations.tokens.NoToken`."""
        given = {"User-Agent": user_agent(), "Accept": "application/json", **(headers or {})}
        if body:
            given.setdefault("Content-Type", JSON)
        answer = http.request(
            method, url, headers=given, body=body, auth=auth, tls=tls.of(self.target), **timeouts(self.target)
        )
        if auth is not None:
            self.hidden += authorization.secrets_of(auth)
        return answer

    def outcome(
        self, answer: http.Answer, result: Result | None = None, reason: str | None = None
    ) -> Outcome:
        """By the contract's table of status codes, unless the kind knows better."""
        by_status, sentence = outcomes.classify(answer.status)
        return Outcome(
            result or by_status,
            outcomes.masked(reason or sentence, self.hidden)[:MAX_REASON],
            answer.status,
            self.milliseconds(),
            headers=outcomes.shown_headers(answer.headers, self.hidden),
            body=outcomes.excerpt(answer.body, self.hidden),
            retry_after=outcomes.retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)),
            token_step=self.step[:MAX_REASON],
        )

    def stopped(
        self,
        result: Result,
        reason: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        token_step: str = "",
    ) -> Outcome:
        """The end of an attempt without an answer that could be shown."""
        return Outcome(
            result,
            outcomes.masked(reason, self.hidden)[:MAX_REASON],
            status,
            self.milliseconds(),
            retry_after=retry_after,
            token_step=(token_step or self.step)[:MAX_REASON],
        )

    def milliseconds(self) -> int:
        return round((monotonic() - self.start) * 1000)


class FieldsKind:
    """A kind of target whose document is declared by ``form_fields``; subclasses add ``render`` and ``attempt``."""

    form_fields: ClassVar[tuple[Field, ...]]
    # Whether one message speaks of all users of an event (the first ones by name, the others by number): then
    # nothing is gained by splitting the event into batches.
    one_message: ClassVar[bool] = True

    def clean(self, document: Document, stored: Cleaned | None = None) -> Cleaned:
        return fields.clean(self.form_fields, document, stored, self.check)

    def check(self, reader: Reader, settings: dict[str, Any], secrets: dict[str, Any]) -> None:
        """What no single field can say."""

    def describe(self, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        return fields.describe(self.form_fields, settings)

    def show(self, body: bytes, target: Target) -> str:
        """No kind here keeps a secret in the stored bytes: :meth:`attempt` adds what is secret."""
        return body.decode("utf-8", "replace")

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        raise NotImplementedError

    def send(self, outgoing: Outgoing, target: Target) -> Outcome:
        call = Call(target)
        try:
            return self.attempt(outgoing, target, call)
        except NoToken as error:
            reason = f"No token, nothing sent. {error}"
            return call.stopped(error.result, reason, retry_after=error.retry_after, token_step=str(error))
        except http.DoorError as error:
            result = _RESULTS.get(type(error), Result.OURS)
            return call.stopped(result, str(error), status=error.status)

    def probe(self, outgoing: Outgoing, target: Target) -> Outcome:
        return self.send(outgoing, target)
