"""One attempt of a target kind: its requests through the transport, and its outcome."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from time import monotonic

from integrations.auth import authorization
from integrations.auth.authorization import OAuthClientCredentials
from integrations.auth.parameters import allows_plain_http, secret_texts, timeouts, user_agent
from integrations.auth.tokens import TokenError
from integrations.errors import IntegrationError
from integrations.masking import mask, settings_secrets, url_secrets
from integrations.nested_values import value_at
from integrations.target_data import Target
from integrations.transport import http, results, tls
from integrations.transport.results import MAX_REASON, AttemptOutcome, Result

JSON = "application/json; charset=utf-8"
# The reason of an attempt starts so if the token endpoint issued no token.
NO_TOKEN = "No token, nothing sent."  # noqa: S105  no secret


class PageAnswered(IntegrationError):
    """A request to a vendor's API was answered 2xx with a page of HTML, so something on the way answered: a sign-in page
    of the network, or a check for robots."""

    def __init__(self, answer: http.HttpAnswer) -> None:
        super().__init__(
            f"The request was answered {answer.status} with a page of HTML, so not by the vendor's API. Is there a "
            "sign-in page, a proxy or a firewall on the way, or is the address wrong?"
        )
        self.answer = answer


class Call:
    """One attempt: its requests, and its outcome, in which every secret that was sent is masked."""

    def __init__(self, target: Target, sealed_urls: Iterable[str] = ()) -> None:
        self.target = target
        self.start = monotonic()
        urls = [str(value_at(target.settings, path, "")) for path in sealed_urls]
        self.hidden = [*secret_texts(target.secrets), *target.signing_secrets]
        self.hidden += [secret for url in urls for secret in url_secrets(url)]
        self.auths: list[http.AuthBase] = []

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        auth: http.AuthBase | None = None,
        limits: http.AnswerLimits | None = None,
    ) -> http.HttpAnswer:
        """Send a request to a vendor's API. Raises like :meth:`send`, and :class:`PageAnswered`."""
        given = {"User-Agent": user_agent(), "Accept": "application/json", **(headers or {})}
        if body:
            given.setdefault("Content-Type", JSON)
        answer = self.send(method, url, headers=given, body=body, auth=auth, limits=limits)
        # No API that is called here answers in HTML or XML. The content type does not tell: Slack's “ok” is text/html.
        if answer.is_success and answer.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise PageAnswered(answer)
        return answer

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        auth: http.AuthBase | None,
        limits: http.AnswerLimits | None = None,
    ) -> http.HttpAnswer:
        """Send a request. ``limits``: of its answer; by default those of the answers to messages.

        Raises :class:`~integrations.transport.http.TransportError` or :class:`~integrations.auth.tokens.TokenError`.
        """
        if auth is not None and auth not in self.auths:
            self.auths.append(auth)
        return http.request(
            method,
            url,
            headers=headers,
            body=body,
            auth=auth,
            tls=tls.tls_of(self.target),
            plain=allows_plain_http(self.target.settings),
            limits=limits,
            **timeouts(self.target),
        )

    def secrets(self) -> frozenset[str]:
        """Every secret that was sent, with the tokens."""
        return frozenset([*self.hidden, *(s for auth in self.auths for s in authorization.secrets_of(auth))])

    @property
    def token_step(self) -> str:
        """The step at the token endpoint, in words; empty without OAuth."""
        return next((auth.step for auth in self.auths if isinstance(auth, OAuthClientCredentials)), "")

    def outcome(
        self,
        answer: http.HttpAnswer,
        result: Result | None = None,
        reason: str | None = None,
        *,
        concerns_recipient: bool = False,
    ) -> AttemptOutcome:
        """The outcome of an answer: by the contract's table of status codes, unless ``result`` or ``reason`` are passed."""
        by_status, sentence = results.result_of_status(answer.status)
        if answer.incomplete:
            end = "" if by_status is Result.RETRYABLE else " It is not sent again."
            sentence = f"{sentence} {answer.incomplete}{end}"
        secrets = self.secrets()
        return AttemptOutcome(
            result or by_status,
            mask(reason, secrets)[:MAX_REASON] if reason else sentence,
            answer.status,
            self.milliseconds(),
            headers=results.masked_headers(answer.headers, secrets),
            body=results.masked_excerpt(answer.body, secrets, is_cut=answer.cut),
            retry_after=results.parse_retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)),
            token_step=mask(self.token_step, secrets)[:MAX_REASON],
            concerns_recipient=concerns_recipient,
        )

    def unlike_vendor(self, answer: http.HttpAnswer, reason: str) -> AttemptOutcome:
        """The outcome of a request that sends, answered 2xx with another body than the vendor's; ``reason`` says so.

        It counts as delivered, also what broke off or was too long: if the vendor took it, people would get the message
        once for each attempt. Pages of HTML do not come here (:class:`PageAnswered`).
        """
        what = answer.incomplete or reason
        return self.outcome(answer, reason=f"Answered {answer.status}. {what} It is not sent again.")

    def outcome_without_answer(
        self,
        result: Result,
        reason: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        token_step: str = "",
        concerns_recipient: bool = False,
    ) -> AttemptOutcome:
        """The outcome of an attempt that has no answer to record."""
        secrets = self.secrets() | settings_secrets()
        return AttemptOutcome(
            result,
            mask(reason, secrets)[:MAX_REASON],
            status,
            self.milliseconds(),
            retry_after=retry_after,
            token_step=mask(token_step or self.token_step, secrets)[:MAX_REASON],
            concerns_recipient=concerns_recipient,
        )

    def run(self, attempt: Callable[[], AttemptOutcome]) -> AttemptOutcome:
        """The outcome of ``attempt``, or of the error that it raised."""
        try:
            return attempt()
        except TokenError as error:
            reason = f"{NO_TOKEN} {error}"
            return self.outcome_without_answer(
                error.result,
                reason,
                status=error.status,
                retry_after=error.retry_after,
                token_step=str(error),
            )
        except PageAnswered as page:
            return self.outcome(page.answer, Result.RETRYABLE, str(page))
        except http.TransportError as error:
            return self.outcome_without_answer(error.result, str(error), status=error.status)

    def milliseconds(self) -> int:
        return round((monotonic() - self.start) * 1000)
