"""Snowflake: a row for each user in a table, with key-pair authentication (docs/targets/snowflake.md).

The same statements are sent by the SQL API or by the official connector, an optional extra.

https://docs.snowflake.com/en/developer-guide/sql-api/reference, …/sql-api/authenticating
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from integrations.auth.parameters import timeouts
from integrations.errors import IntegrationError
from integrations.json_types import JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.json_answers import compact, parse_object, refusal_reason, text_at
from integrations.targets.shared.setting_fields import CA, Field, timeout_fields
from integrations.targets.shared.target_kind import Inert, TargetKind
from integrations.targets.shared.user_rows import user_rows
from integrations.targets.snowflake import connector
from integrations.transport import http, tls
from integrations.transport.addresses import parse_url
from integrations.transport.results import AttemptOutcome, Result

# Column, its type, and the key of user_rows().
COLUMNS = (
    ("TIME_GENERATED", "TIMESTAMP_TZ", "TimeGenerated"),
    ("EVENT_ID", "VARCHAR", "EventId"),
    ("EVENT_TYPE", "VARCHAR", "EventType"),
    ("EVENT_SOURCE", "VARCHAR", "EventSource"),
    ("CHECK_ID", "VARCHAR", "CheckId"),
    ("CHECK_TITLE", "VARCHAR", "CheckTitle"),
    ("SEVERITY", "VARCHAR", "Severity"),
    ("LOGIN", "VARCHAR", "Login"),
    ("DETAILS", "VARIANT", "Details"),
    ("CHECK_TAGS", "VARIANT", "CheckTags"),
    ("FRAMEWORKS", "VARIANT", "Frameworks"),
    ("RUN_ID", "VARCHAR", "RunId"),
    ("REFERENCE_URL", "VARCHAR", "ReferenceUrl"),
    ("TEST", "BOOLEAN", "Test"),
)
NAME = r"[A-Za-z_][A-Za-z0-9_$]{0,254}"
_HINT = "Write a plain name: letters, digits, _ and $, not starting with a digit."
# “Object does not exist or not authorized.”
NO_SUCH_OBJECT = "002003"
# Cancelled, and ended by its time limit.
STATEMENT_TIMED_OUT = ("000604", "000630")
# Every code of a refused login starts so; the other is “JWT token is invalid.”
LOGIN_REFUSED, KEY_REFUSED = "390", "390144"
JWT_SECONDS = 300
STATEMENT_SECONDS = 25
_KEY_REFUSED = (
    "Snowflake refused the key: is its public half set on the user (RSA_PUBLIC_KEY), account and user right?"
)
_STATEMENT_REFUSED = "Snowflake refused the statement."


class StatementError(IntegrationError):
    """A statement failed. ``code`` is Snowflake's error code, or empty; ``outcome`` is that of the attempt."""

    def __init__(self, code: str, outcome: AttemptOutcome) -> None:
        super().__init__(outcome.reason)
        self.code, self.outcome = code, outcome


# Runs a statement with its values; raises StatementError.
Execute = Callable[[str, list[str]], AttemptOutcome]


class Snowflake(TargetKind):
    slug: ClassVar[str] = "snowflake"
    label: ClassVar[str] = "Snowflake"
    summary: ClassVar[str] = "A row for each user in a table, merged by event."
    position: ClassVar[int] = 100
    one_message: ClassVar[bool] = False
    max_bytes: ClassVar[int] = 1_000_000
    per_second: ClassVar[float | None] = 2.0
    concurrency: ClassVar[int] = 2
    inert: ClassVar[Inert] = Inert.DATA
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="account",
            label="Account identifier",
            widget="host",
            help="ORGANISATION-ACCOUNT, as in https://ORGANISATION-ACCOUNT.snowflakecomputing.com",
            pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{1,200}",
            hint="Write the account identifier alone, such as MYORG-ACCOUNT1.",
        ),
        Field(path="user", label="User", pattern=r"[^\s.\"']+", hint="Write the user's name.", most=255),
        Field(
            path="private_key",
            label="Private key",
            help="RSA, 2,048 bits or more, PEM without a passphrase; it is sealed here.",
            widget="pem",
            secret=True,
        ),
        Field(
            path="transport",
            label="Connect by",
            help="The connector is an optional extra.",
            widget="select",
            choices=(("api", "The SQL API"), ("connector", "The official connector")),
            default="api",
        ),
        Field(path="warehouse", label="Warehouse", pattern=NAME, hint=_HINT),
        Field(path="database", label="Database", pattern=NAME, hint=_HINT),
        Field(path="schema", label="Schema", default="PUBLIC", pattern=NAME, hint=_HINT),
        Field(path="table", label="Table", default="IDENTITY_CHECKS", pattern=NAME, hint=_HINT),
        Field(path="role", label="Role", required=False, pattern=NAME, hint=_HINT),
        Field(
            path="create_table",
            label="Create the table if it does not exist",
            widget="checkbox",
            default=False,
        ),
        Field(
            path="url",
            label="Address",
            help="Another one for private connectivity.",
            widget="url",
            required=False,
        ),
        *timeout_fields(answer=30, help="A warehouse that sleeps takes some seconds to wake."),
        CA,
    )  # fmt: skip

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        if "private_key" in secrets and _key(secrets["private_key"]) is None:
            reader.add_error(
                "private_key", "Paste an RSA key of 2,048 bits or more, as PEM without a passphrase."
            )

        if settings.get("transport") == "connector":
            if not connector.is_installed():
                reader.add_error(
                    "transport",
                    f"The connector is not installed here. Install it ({connector.INSTALL}), or choose the SQL API.",
                )
            if settings.get("url", "").startswith("http://"):
                reader.add_error(
                    "url", "Write a URL that starts with https://: the connector always speaks TLS."
                )

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(compact(user_rows(event)))

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        by = _by_connector if target.settings.get("transport") == "connector" else _by_api
        table, rows = table_of(target), [request.body.decode()]
        try:
            with by(request, target, call) as execute:
                try:
                    return execute(merge_statement(table), rows)
                except StatementError as error:
                    if error.code != NO_SUCH_OBJECT or not target.settings["create_table"]:
                        raise
                execute(create_statement(table), [])
                return execute(merge_statement(table), rows)
        except StatementError as error:
            return error.outcome


@contextmanager
def _by_api(request: AttemptRequest, target: Target, call: Call) -> Iterator[Execute]:
    token = jwt(
        target.settings["account"], target.settings["user"], target.secrets["private_key"], request.timestamp
    )
    call.hidden.append(token)
    headers = {"Authorization": f"Bearer {token}", "X-Snowflake-Authorization-Token-Type": "KEYPAIR_JWT"}

    def execute(statement: str, values: list[str]) -> AttemptOutcome:
        asked: JsonObject = {"statement": statement, "timeout": STATEMENT_SECONDS, **_where(target)}
        if values:
            asked["bindings"] = {str(n): {"type": "TEXT", "value": v} for n, v in enumerate(values, start=1)}
        url = f"{api_address(target)}/api/v2/statements"
        answer = call.request("POST", url, body=compact(asked), headers=headers)
        outcome = _of_answer(answer, call)
        if outcome.result is not Result.DELIVERED:
            raise StatementError(_code(answer), outcome)
        return outcome

    yield execute


def _of_answer(answer: http.HttpAnswer, call: Call) -> AttemptOutcome:
    if answer.status == 202:
        # A second MERGE of the same rows adds nothing, so asking again is safe.
        return call.outcome(answer, Result.RETRYABLE, "Snowflake has not finished the statement yet.")
    if answer.is_success and not _is_result(answer):
        reason = f"What answered {answer.status} is not Snowflake's SQL API: it answers 200 with “code”."
        return call.outcome(answer, Result.RETRYABLE, reason)
    if answer.status == 200:
        return call.outcome(answer, reason="Snowflake has merged the rows.")
    advice = {
        401: _KEY_REFUSED,
        403: "Snowflake forbids it to this user or from this address.",
        408: "The statement took too long.",
        422: _STATEMENT_REFUSED,
    }.get(answer.status)
    if advice is None:
        return call.outcome(answer)
    message = text_at(parse_object(answer.body), "message")
    result = Result.RETRYABLE if _code(answer) in STATEMENT_TIMED_OUT else None
    return call.outcome(answer, result, refusal_reason(answer, advice, message))


def _is_result(answer: http.HttpAnswer) -> bool:
    """Whether a success looks like one of the SQL API. A body that is empty, broke off or was too long passes."""
    found = parse_object(answer.body)
    has_other_body = (
        answer.is_whole and answer.body.strip() and not {"code", "statementHandle"} & found.keys()
    )
    return answer.status == 200 and not has_other_body


@contextmanager
def _by_connector(request: AttemptRequest, target: Target, call: Call) -> Iterator[Execute]:
    url = parse_url(api_address(target))
    login = connector.Login(
        host=url.host,
        port=url.port,
        account=target.settings["account"],
        user=target.settings["user"],
        private_key=target.secrets["private_key"],
        where=_where(target),
        ca=tls.tls_of(target).ca,
        **timeouts(target),
    )
    try:
        with connector.snowflake_session(login) as run:

            def execute(statement: str, values: list[str]) -> AttemptOutcome:
                try:
                    run(statement, values)
                except connector.ConnectorError as error:
                    raise StatementError(error.code, _of_failure(error, call)) from error
                return call.outcome_without_answer(Result.DELIVERED, "Snowflake has merged the rows.")

            yield execute
    except connector.ConnectorMissing as error:
        raise StatementError("", call.outcome_without_answer(Result.OURS, f"{error}.")) from error
    except connector.ConnectorError as error:
        raise StatementError(error.code, _of_failure(error, call)) from error


def _of_failure(error: connector.ConnectorError, call: Call) -> AttemptOutcome:
    if error.refused:
        passing = error.code in STATEMENT_TIMED_OUT
        return call.outcome_without_answer(
            Result.RETRYABLE if passing else Result.PERMANENT, f"{_STATEMENT_REFUSED} {error}"
        )
    if error.code.startswith(LOGIN_REFUSED):
        advice = _KEY_REFUSED if error.code == KEY_REFUSED else "Snowflake refused to let this user in."
        return call.outcome_without_answer(Result.PERMANENT, f"{advice} {error}")
    return call.outcome_without_answer(
        Result.RETRYABLE, f"Snowflake was not reached, or did not answer. {error}"
    )


def _where(target: Target) -> dict[str, str]:
    """The names in capitals, as Snowflake stores them."""
    settings = target.settings
    return {
        name: settings[name].upper()
        for name in ("database", "schema", "warehouse", "role")
        if name in settings
    }


def api_address(target: Target) -> str:
    if url := target.settings.get("url"):
        return str(url).rstrip("/")
    return f"https://{target.settings['account'].replace('_', '-').lower()}.snowflakecomputing.com"


def table_of(target: Target) -> str:
    """Qualified; each part was checked against :data:`NAME`, so that nothing needs quoting."""
    return ".".join(target.settings[part] for part in ("database", "schema", "table"))


def create_statement(table: str) -> str:
    columns = ", ".join(f"{column} {kind}" for column, kind, _ in COLUMNS)
    return f"CREATE TABLE IF NOT EXISTS {table} ({columns})"


def merge_statement(table: str) -> str:
    """The statement that inserts missing rows, by event and login; its one value is the JSON array of the rows."""
    picked = ", ".join(
        f"f.value:{key} AS {column}" if kind == "VARIANT" else f"f.value:{key}::{kind} AS {column}"
        for column, kind, key in COLUMNS
    )
    names = ", ".join(column for column, _, _ in COLUMNS)
    values = ", ".join(f"s.{column}" for column, _, _ in COLUMNS)
    return (
        f"MERGE INTO {table} AS t "  # noqa: S608  the table's name was checked, the rows are bound
        f"USING (SELECT {picked} FROM (SELECT PARSE_JSON(?) AS r) AS j, LATERAL FLATTEN(INPUT => j.r) AS f) AS s "
        "ON t.EVENT_ID = s.EVENT_ID AND t.LOGIN = s.LOGIN "
        f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    )


def jwt(account: str, user: str, pem: str, now: int) -> str:
    """The token of key-pair authentication: RS256, issued by the public key's fingerprint. ``now`` in epoch seconds."""
    key = _key(pem)
    assert key is not None  # noqa: S101  for the type checker: clean() has read it
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    fingerprint = base64.b64encode(hashlib.sha256(public).digest()).decode()
    # A region after a dot belongs to the address, not to the name.
    subject = f"{account.partition('.')[0].upper()}.{user.upper()}"
    claims = {"iss": f"{subject}.SHA256:{fingerprint}", "sub": subject, "iat": now, "exp": now + JWT_SECONDS}
    signed = b".".join(_base64url(compact(part)) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + _base64url(signature)).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _key(pem: str) -> rsa.RSAPrivateKey | None:
    try:
        key = serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048 else None


def _code(answer: http.HttpAnswer) -> str:
    return text_at(parse_object(answer.body), "code") if answer.status == 422 else ""
