"""Snowflake: a row a user in a table, by the SQL API with key-pair authentication (docs/targets/snowflake.md).

https://docs.snowflake.com/en/developer-guide/sql-api/reference, …/sql-api/authenticating

The SQL API rather than the official connector: that one opens connections of its own, past the door's address rule
and deadlines, and brings fifty megabytes for one statement.
"""

import base64
import hashlib
from typing import Any, ClassVar

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from integrations import http
from integrations.outcomes import Outcome, Result
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact, parsed
from integrations.targets.documents import Reader
from integrations.targets.fields import Field
from integrations.targets.records import records

# Column, its type, and the key of records().
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
_HINT = "Write a plain name: letters, digits, _ and $, not beginning with a digit."
# “Object does not exist or not authorized.”
NO_SUCH_OBJECT = "002003"
JWT_SECONDS = 300
STATEMENT_SECONDS = 25


class Snowflake(FieldsKind):
    slug: ClassVar[str] = "snowflake"
    label: ClassVar[str] = "Snowflake"
    summary: ClassVar[str] = "A row a user in a table, merged by event."
    one_message: ClassVar[bool] = False
    max_bytes: ClassVar[int] = 1_000_000
    per_second: ClassVar[float | None] = 2.0
    concurrency: ClassVar[int] = 2
    audiences: ClassVar[frozenset[str]] = frozenset({"list"})
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="account",
            label="Account identifier",
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
        Field(
            path="timeouts.connect", label="Seconds to connect", widget="number", least=0.1, most=30, default=5,
            required=False,
        ),
        Field(
            path="timeouts.answer", label="Seconds to answer", widget="number", least=0.1, most=30, default=30,
            help="A warehouse that sleeps takes some seconds to wake.", required=False,
        ),
    )  # fmt: skip

    def check(self, reader: Reader, settings: dict[str, Any], secrets: dict[str, Any]) -> None:
        if "private_key" in secrets and _key(secrets["private_key"]) is None:
            reader.wrong(
                "private_key", "Paste an RSA key of 2,048 bits or more, as PEM without a passphrase."
            )

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(compact(records(event)))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        table = table_of(target)
        rows = outgoing.body.decode()
        answer = self._execute(merge(table), [rows], outgoing, target, call)
        if _code(answer) == NO_SUCH_OBJECT and target.settings["create_table"]:
            made = self._execute(create(table), [], outgoing, target, call)
            if made.status != 200:
                return self._outcome(made, call)
            answer = self._execute(merge(table), [rows], outgoing, target, call)
        return self._outcome(answer, call)

    def _execute(
        self, statement: str, values: list[str], outgoing: Outgoing, target: Target, call: Call
    ) -> http.Answer:
        given = target.settings
        asked: dict[str, Any] = {
            "statement": statement,
            "timeout": STATEMENT_SECONDS,
            # The API takes these names as they are stored: in capitals.
            **{
                name: given[name].upper()
                for name in ("database", "schema", "warehouse", "role")
                if name in given
            },
        }
        if values:
            asked["bindings"] = {str(n): {"type": "TEXT", "value": v} for n, v in enumerate(values, start=1)}
        token = jwt(given["account"], given["user"], target.secrets["private_key"], outgoing.timestamp)
        call.hidden.append(token)
        headers = {"Authorization": f"Bearer {token}", "X-Snowflake-Authorization-Token-Type": "KEYPAIR_JWT"}
        return call.request(
            "POST", f"{address(target)}/api/v2/statements", body=compact(asked), headers=headers
        )

    def _outcome(self, answer: http.Answer, call: Call) -> Outcome:
        if answer.status == 202:
            # A second MERGE of the same rows adds nothing, so asking again is safe.
            return call.outcome(answer, Result.RETRYABLE, "Snowflake has not finished the statement yet.")
        if answer.status == 200:
            return call.outcome(answer, reason="Snowflake has merged the rows.")
        said = str(parsed(answer.body).get("message", "")).strip()
        advice = {
            401: "Snowflake refused the key: is its public half set on the user (RSA_PUBLIC_KEY), account and user right?",
            403: "Snowflake forbids it to this user or from this address.",
            408: "The statement took too long.",
            422: "Snowflake refused the statement:",
        }.get(answer.status)
        return call.outcome(answer, reason=f"{advice} {said}".strip() if advice else None)


def address(target: Target) -> str:
    if url := target.settings.get("url"):
        return str(url).rstrip("/")
    return f"https://{target.settings['account'].replace('_', '-').lower()}.snowflakecomputing.com"


def table_of(target: Target) -> str:
    """Qualified; each part was checked against :data:`NAME`, so that nothing needs quoting."""
    return ".".join(target.settings[part] for part in ("database", "schema", "table"))


def create(table: str) -> str:
    columns = ", ".join(f"{column} {kind}" for column, kind, _ in COLUMNS)
    return f"CREATE TABLE IF NOT EXISTS {table} ({columns})"


def merge(table: str) -> str:
    """Insert what is not there yet, by event and login; its one value is the JSON array of the rows."""
    picked = ", ".join(
        f"f.value:{key} AS {column}" if kind == "VARIANT" else f"f.value:{key}::{kind} AS {column}"
        for column, kind, key in COLUMNS
    )
    names = ", ".join(column for column, _, _ in COLUMNS)
    values = ", ".join(f"s.{column}" for column, _, _ in COLUMNS)
    return (
        f"MERGE INTO {table} AS t "  # noqa: S608  the table's name was checked, the rows are bound
        f"USING (SELECT {picked} FROM TABLE(FLATTEN(INPUT => PARSE_JSON(?))) AS f) AS s "
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


def _code(answer: http.Answer) -> str:
    return str(parsed(answer.body).get("code", "")) if answer.status == 422 else ""
