"""The facts of users, derived from their accounts, set-based.

:func:`refresh` aggregates the accounts of the users in a temporary table by one statement and writes
only the users that differ. What each fact means stands at ``User`` and in docs/checks.md; the
expressions below are grouped in the same order.

Words in the expressions: *live* is not deleted; *idp* a live account of an identity source; *hr* an
account of an HR source, deleted ones included, since who was removed from HR is not active there;
*on* an identity account through which somebody can sign in.
"""

# ruff: noqa: S608  what is put into SQL are our own names of tables and columns

from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Field

from checks import dialect
from checks.models import User

TOUCHED = "touched_users"
TOUCHED_DEFINITION = "(user_id bigint PRIMARY KEY)"

_FLAGGED = """
    SELECT t.user_id AS owner_of_row, a.*, m.user_id AS manager_user, o.user_id AS owner_user,
        a.id IS NOT NULL AS present,
        s.kind = 'identity' AS of_identity,
        s.kind = 'hr' AS hr,
        a.id IS NOT NULL AND COALESCE(a.status, '') <> 'deleted' AS live,
        s.kind = 'identity' AND COALESCE(a.status, '') <> 'deleted' AS idp,
        s.kind = 'hr' AND COALESCE(a.status, '') <> 'deleted' AS hr_live,
        s.kind = 'identity'
            AND COALESCE(a.status, '') IN ('active', 'password_expired', 'locked_out', 'recovery') AS enabled,
        COALESCE(a.status, '') IN ('deleted', 'deprovisioned', 'disabled') AS gone,
        COALESCE(a.created_at, {always}) AS since,
        {rank} AS rank,
        {boss_rank} AS boss_rank,
        CASE WHEN m.user_id IS NOT NULL THEN 'u' || m.user_id ELSE 'k' || a.manager_key END AS manager_identity
    FROM {touched} t
    LEFT JOIN checks_account a ON a.user_id = t.user_id
    LEFT JOIN checks_source s ON s.id = a.source_id
    LEFT JOIN named_users m ON m.name = a.manager_key
    LEFT JOIN named_users o ON o.name = a.owner_key
    {fence}
"""
# Live before deleted, identity before HR, old before young: one digit and the padded id.
_PADDED = "substr('000000000000000000' || a.id, -18)"
_PADDED_POSTGRES = "lpad(a.id::text, 18, '0')"
_KIND_RANK = """(CASE WHEN COALESCE(a.status, '') = 'deleted' THEN {deleted} ELSE 0 END
    + CASE WHEN s.kind = 'hr' THEN {hr} ELSE {identity} END)"""


def _any(condition: str, among: str) -> str:
    return f"COUNT(*) FILTER (WHERE {among} AND {condition}) > 0"


def _three(condition: str, unknown: str, among: str, *, without: str = "FALSE") -> str:
    """True if any, else unknown if any cannot say, else False."""
    return f"""CASE WHEN COUNT(*) FILTER (WHERE {among} AND {condition}) > 0 THEN TRUE
        WHEN COUNT(*) FILTER (WHERE {among} AND {unknown}) > 0 THEN NULL ELSE {without} END"""


def _flag(column: str, among: str) -> str:
    return _three(column, f"{column} IS NULL", among)


def _first(column: str, rank: str = "rank", among: str = "TRUE") -> str:
    """The value of the first account that gives one, "" if none does; NULL without any account."""
    smallest = f"MIN(({rank} || {column}) {dialect.bytewise()}) FILTER (WHERE {column} <> '' AND {among})"
    return f"CASE WHEN COUNT(id) = 0 THEN NULL ELSE COALESCE(substr({smallest}, 20), '') END"


def _reference(column: str) -> str:
    smallest = (
        f"MIN((boss_rank || {column}) {dialect.bytewise()}) FILTER (WHERE live AND {column} IS NOT NULL)"
    )
    return f"CAST(substr({smallest}, 20) AS bigint)"


def _given(column: str) -> str:
    return f"""CASE WHEN COUNT(*) FILTER (WHERE live AND {column} <> '') > 0 THEN TRUE
        WHEN COUNT(*) FILTER (WHERE live AND {column} = '') > 0 THEN FALSE END"""


def _hr_differs(value: str, given: str) -> str:
    """Some HR value differs from some identity value: both are given, and not all are the same."""
    return f"""CASE WHEN COUNT(*) FILTER (WHERE hr_live AND {given} <> '') > 0
            AND COUNT(*) FILTER (WHERE idp AND {given} <> '') > 0
        THEN MIN({value}) FILTER (WHERE live AND {given} <> '')
            <> MAX({value}) FILTER (WHERE live AND {given} <> '') END"""


_HR_SILENT = "COUNT(*) FILTER (WHERE hr AND status = 'active') = 0"

PROFILE = [
    "login",
    "email",
    "display_name",
    "employee_id",
    "department",
    "title",
    "company",
    "phone",
    "user_type",
    "status",
    "employee_key",
]


def _expressions() -> dict[str, str]:
    """User column → aggregate over the flagged accounts of a user."""
    latest = f"substr(MAX(({_sign_in_text()}) {dialect.bytewise()}) FILTER (WHERE idp), -2)"
    if dialect.is_postgres():
        latest = f"right(MAX(({_sign_in_text()}) {dialect.bytewise()}) FILTER (WHERE idp), 2)"
    return {
        **{column: _first(column) for column in PROFILE},
        "manager_id": _reference("manager_user"),
        "owner_id": _reference("owner_user"),
        # Who the user is.
        "protected": f"""CASE WHEN COUNT(*) FILTER (WHERE of_identity) > 0
            THEN {_any("NOT gone", "of_identity")} ELSE {_any("NOT gone", "present")} END
            AND COUNT(*) FILTER (WHERE live AND user_type IN ('conference_room', 'equipment')) = 0""",
        "enabled": _three("enabled", "status IS NULL", "idp"),
        "nhi": _any("user_type IN ('service_account', 'shared_mailbox')", "live"),
        "guest": _any("user_type IN ('guest', 'external')", "live"),
        "internal": """CASE WHEN COUNT(*) FILTER (WHERE live AND user_type <> '') = 0 THEN NULL
            ELSE COUNT(*) FILTER (WHERE live AND user_type <> '' AND user_type <> 'internal') = 0 END""",
        "admin": f"""CASE WHEN {_any("is_admin", "live")} THEN TRUE
            WHEN COUNT(*) FILTER (WHERE idp) > 0
                AND COUNT(*) FILTER (WHERE idp AND is_admin IS NOT NULL) = 0 THEN NULL ELSE FALSE END""",
        "created_at": "MIN(created_at) FILTER (WHERE idp)",
        # Sign-in.
        "last_sign_in_at": "MAX(last_sign_in_at) FILTER (WHERE idp)",
        "last_sign_in_known": _any("last_sign_in_known", "idp"),
        "last_sign_in_country": f"COALESCE(NULLIF({latest}, '--'), '')",
        "failed_sign_ins": "SUM(failed_sign_ins) FILTER (WHERE idp)",
        # MFA and passwords, over the enabled accounts.
        "has_mfa": _any("mfa", "enabled"),
        "no_mfa_since": "MIN(since) FILTER (WHERE enabled AND NOT mfa)",
        "no_mfa_latest": "MAX(since) FILTER (WHERE enabled AND NOT mfa)",
        "mfa_unknown_since": "MIN(since) FILTER (WHERE enabled AND mfa IS NULL)",
        "weak_mfa_since": "MIN(since) FILTER (WHERE enabled AND factors_known AND assurance = 1)",
        "not_resistant_since": "MIN(since) FILTER (WHERE enabled AND NOT phishing_resistant)",
        # An unrecognised kind leaves both open; beside a strong factor that is not phishing-resistant, only one.
        "weak_unknown_since": """MIN(since)
            FILTER (WHERE enabled AND assurance IS NULL AND phishing_resistant IS NULL)""",
        "resistant_unknown_since": "MIN(since) FILTER (WHERE enabled AND phishing_resistant IS NULL)",
        "mfa_bypass": _flag("mfa_bypass", "enabled"),
        "password_changed_at": "MIN(password_changed_at) FILTER (WHERE enabled)",
        "password_unknown": _any("password_changed_at IS NULL", "enabled"),
        "password_never_expires": _flag("password_never_expires", "enabled"),
        # What the sources say of one another.
        "type_missing": _three("user_type = ''", "user_type IS NULL", "live"),
        "type_inconsistent": """CASE
            WHEN MIN(user_type) FILTER (WHERE live AND user_type <> '')
                <> MAX(user_type) FILTER (WHERE live AND user_type <> '') THEN TRUE
            WHEN COUNT(id) FILTER (WHERE live) > 1 AND COUNT(id) FILTER (WHERE live AND user_type IS NULL) > 0
                AND COUNT(*) FILTER (WHERE live AND user_type <> '') < 2 THEN NULL
            ELSE FALSE END""",
        "status_inconsistent": """CASE
            WHEN COUNT(*) FILTER (WHERE status = 'active') > 0
                AND COUNT(*) FILTER (WHERE status IN ('disabled', 'suspended', 'deprovisioned')) > 0 THEN TRUE
            WHEN COUNT(id) FILTER (WHERE live) > 1
                AND COUNT(id) FILTER (WHERE live AND status IS NULL) > 0 THEN NULL
            ELSE FALSE END""",
        "stuck_since": f"MIN(status_changed_at) FILTER (WHERE idp AND {_STUCK})",
        "stuck_unknown": _any(f"{_STUCK} AND status_changed_at IS NULL", "idp"),
        "in_hr": _any("TRUE", "hr"),
        "terminated_since": f"""CASE WHEN {_HR_SILENT} AND COUNT(*) FILTER (WHERE hr AND status IS NULL) = 0
            THEN MAX(COALESCE(status_changed_at, {_always()})) FILTER (WHERE hr) END""",
        "hr_status_unknown": f"{_HR_SILENT} AND {_any('status IS NULL', 'hr')}",
        "hr_manager_differs": _hr_differs("manager_identity", "manager_key"),
        "hr_department_differs": _hr_differs("department_key", "department_key"),
        "hr_title_differs": _hr_differs("title_key", "title_key"),
        "manager_given": _given("manager"),
        "owner_given": _given("owner"),
        # The rest.
        "app_unused_since": "MIN(app_unused_since) FILTER (WHERE idp)",
        "applications_unknown": _any("NOT applications_known", "idp"),
        "forwards": _three("CAST(forwarding AS text) <> '[]'", "forwarding IS NULL", "idp"),
        "credentials_exposed": _flag("credentials_exposed", "idp"),
    }


_STUCK = "status IN ('staged', 'provisioned', 'recovery', 'password_expired', 'locked_out', 'transient')"


def _always() -> str:
    return dialect.time_constant("1970-01-01 00:00:00")


def _sign_in_text() -> str:
    # The blank sorts before the point of a fraction of a second, which SQLite leaves out where it is 0.
    return f"{dialect.sortable('last_sign_in_at')} || ' ' || COALESCE(NULLIF(last_sign_in_country, ''), '--')"


def refresh_users(user_ids: Iterable[int]) -> None:
    """Derive the facts of these users anew, and of those who name them as manager or owner."""
    with transaction.atomic(), connection.cursor() as cursor:
        dialect.lock_accounts(cursor)
        with dialect.temporary(cursor, TOUCHED, TOUCHED_DEFINITION):
            dialect.fill_ids(cursor, TOUCHED, user_ids)
            refresh(TOUCHED)


def refresh(touched: str) -> None:
    """Derive the facts of the users in the temporary table ``touched`` (``user_id``), which grows by
    those who depend on them: who names one of them as manager or owner. Whose accounts bear an id that
    no user has yet is made with these facts."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {touched} LIMIT 1")
        if not cursor.fetchone():
            return
        dialect.analyze(cursor, touched)
        _add_dependants(cursor, touched)
        dialect.analyze(cursor, touched)
        with (
            dialect.temporary(cursor, "named_users", "(name varchar(320) PRIMARY KEY, user_id bigint)"),
            dialect.temporary(cursor, "user_facts", f"AS {_aggregate(cursor, touched)}"),
        ):
            schema = "" if dialect.is_postgres() else "temp."
            cursor.execute(f"CREATE UNIQUE INDEX {schema}user_facts_id ON user_facts (user_id)")
            dialect.analyze(cursor, "user_facts", "user_id")
            _write(cursor)
        _share_devices(cursor, touched)


def _add_dependants(cursor: CursorWrapper, touched: str) -> None:
    cursor.execute(f"SELECT COUNT(*) FROM {touched}")
    (count,) = cursor.fetchone()
    cursor.execute("SELECT COUNT(*) FROM checks_user")
    (users,) = cursor.fetchone()
    if 2 * count >= users:
        cursor.execute(f"INSERT INTO {touched} SELECT id FROM checks_user WHERE true ON CONFLICT DO NOTHING")
        return
    with dialect.temporary(cursor, "touched_names", "(name varchar(320) PRIMARY KEY)"):
        for key in ("login_key", "email_key", "employee_key"):
            cursor.execute(
                f"INSERT INTO touched_names SELECT a.{key} FROM {touched} t "
                f"JOIN checks_account a ON a.user_id = t.user_id WHERE {dialect.given(f'a.{key}')} ON CONFLICT DO NOTHING"
            )
        dialect.analyze(cursor, "touched_names")
        for role in ("manager", "owner"):
            cursor.execute(
                f"INSERT INTO {touched} "
                f"SELECT a.user_id FROM touched_names n JOIN checks_account a ON a.{role}_key = n.name "
                f"WHERE a.user_id IS NOT NULL AND {dialect.given(f'a.{role}_key')} "
                f"UNION SELECT u.id FROM {touched} t JOIN checks_user u ON u.{role}_id = t.user_id "
                f"ON CONFLICT DO NOTHING"
            )


def _resolve_names(cursor: CursorWrapper, touched: str) -> None:
    """Whom the managers and owners named by the touched users' accounts are: by login, e-mail, then id."""
    with dialect.temporary(cursor, "given_names", "(name varchar(320) PRIMARY KEY)"):
        for role in ("manager", "owner"):
            cursor.execute(
                f"INSERT INTO given_names SELECT DISTINCT a.{role}_key FROM {touched} t "
                f"JOIN checks_account a ON a.user_id = t.user_id WHERE {dialect.given(f'a.{role}_key')} ON CONFLICT DO NOTHING"
            )
        dialect.analyze(cursor, "given_names")
        for key in ("login_key", "email_key", "employee_key"):
            cursor.execute(
                f"INSERT INTO named_users SELECT n.name, MIN(b.user_id) FROM given_names n "
                f"JOIN checks_account b ON b.{key} = n.name AND {dialect.given(f'b.{key}')} "
                f"WHERE COALESCE(b.status, '') <> 'deleted' AND b.user_id IS NOT NULL "
                f"GROUP BY n.name ON CONFLICT DO NOTHING"
            )
    dialect.analyze(cursor, "named_users")


def _aggregate(cursor: CursorWrapper, touched: str) -> str:
    _resolve_names(cursor, touched)
    padded = _PADDED_POSTGRES if dialect.is_postgres() else _PADDED
    flagged = _FLAGGED.format(
        touched=touched,
        always=_always(),
        rank=f"{_KIND_RANK.format(deleted=2, hr=1, identity=0)} || {padded}",
        boss_rank=f"{_KIND_RANK.format(deleted=2, hr=0, identity=1)} || {padded}",
        # Else PostgreSQL computes a rank anew for each of the forty aggregates that read it.
        fence="OFFSET 0" if dialect.is_postgres() else "",
    )
    columns = ",\n".join(f"{expression} AS {column}" for column, expression in _expressions().items())
    return f"SELECT owner_of_row AS user_id, {columns} FROM ({flagged}) f GROUP BY owner_of_row"


def _write(cursor: CursorWrapper) -> None:
    """Copy what differs, and whom joining has made. A user whose last account was linked elsewhere keeps
    its profile."""
    name = "COALESCE(NULLIF(f.email, ''), f.login)"
    at = dialect.position(name, "'@'")
    values = {
        column: f"COALESCE(f.{column}, u.{column})" if column in PROFILE else f"f.{column}"
        for column in _expressions()
    }
    values["name"] = f"COALESCE({name}, u.name)"
    values["domain"] = (
        f"CASE WHEN {name} IS NULL THEN u.domain WHEN {at} > 0 "
        f"THEN lower(substr(substr({name}, {at} + 1), 1, 255)) ELSE '' END"
    )
    # The manager's state as it will be, where it is among those that are written now.
    values["manager_enabled"] = "CASE WHEN mf.user_id IS NOT NULL THEN mf.enabled ELSE mu.enabled END"
    facts = (
        "user_facts f LEFT JOIN user_facts mf ON mf.user_id = f.manager_id "
        "LEFT JOIN checks_user mu ON mu.id = f.manager_id"
    )
    _store(cursor, values, facts, "u.id = f.user_id", made=True)


def _default(field: "Field[Any, Any]") -> str:
    """The default of a column that no account gives, as SQL."""
    value = field.get_default()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"User.{field.name} needs a default that SQL can write")


def _store(
    cursor: CursorWrapper, values: dict[str, str], source: str, join: str, *, made: bool = False
) -> None:
    """Write the ``values`` of the users that differ. ``made``: and insert the users of ``source`` (f) that
    have no row yet. Both by way of a table, since the statement that reads users must not fill them."""
    differing = " OR ".join(f"u.{column} {dialect.differs()} {value}" for column, value in values.items())
    inner = ", ".join(f"{value} AS {column}" for column, value in values.items())
    chosen = (
        f"f.user_id, u.id IS NULL AS made, {inner} FROM {source} LEFT JOIN checks_user u ON {join} "
        f"WHERE u.id IS NULL OR {differing}"
        if made
        else f"u.id AS user_id, {inner} FROM {source} JOIN checks_user u ON {join} WHERE {differing}"
    )
    with dialect.temporary(cursor, "user_changes", f"AS SELECT {chosen}"):
        dialect.analyze(cursor, "user_changes", "user_id")
        sets = ", ".join(f"{column} = c.{column}" for column in values)
        cursor.execute(f"UPDATE checks_user SET {sets} FROM user_changes c WHERE checks_user.id = c.user_id")
        if made:
            _insert_made(cursor, list(values))


def _insert_made(cursor: CursorWrapper, given: list[str]) -> None:
    defaults = {
        str(field.column): _default(field)
        for field in User._meta.concrete_fields
        if not field.primary_key and not field.null and field.column not in given
    }
    cursor.execute(
        f"INSERT INTO checks_user (id, {', '.join([*given, *defaults])}) "
        f"SELECT user_id, {', '.join([*given, *defaults.values()])} FROM user_changes WHERE made"
    )


def _share_devices(cursor: CursorWrapper, touched: str) -> None:
    """Count anew who shares an authenticator: the touched, whoever holds one of their devices, and all
    who are marked as sharing now, since one of the touched may have let go of theirs."""
    with (
        dialect.temporary(cursor, "affected_devices", "(device_key varchar(255) PRIMARY KEY)"),
        dialect.temporary(cursor, "device_holders", "(device_key varchar(255), user_id bigint)"),
        dialect.temporary(cursor, "shared_counts", "(user_id bigint PRIMARY KEY, users integer)"),
    ):
        cursor.execute(
            f"INSERT INTO affected_devices SELECT DISTINCT d.device_key FROM ("
            f"SELECT user_id FROM {touched} UNION SELECT id FROM checks_user WHERE shared_with > 0) t "
            f"JOIN checks_account a ON a.user_id = t.user_id JOIN checks_authenticator d ON d.account_id = a.id"
        )
        dialect.analyze(cursor, "affected_devices")
        cursor.execute(
            "INSERT INTO device_holders SELECT DISTINCT k.device_key, a.user_id FROM affected_devices k "
            "JOIN checks_authenticator d ON d.device_key = k.device_key "
            "JOIN checks_account a ON a.id = d.account_id "
            "JOIN checks_source s ON s.id = a.source_id AND s.kind = 'identity' "
            "WHERE COALESCE(a.status, '') <> 'deleted' AND a.user_id IS NOT NULL"
        )
        dialect.analyze(cursor, "device_holders")
        cursor.execute(
            "INSERT INTO shared_counts SELECT user_id, MAX(users) FROM (SELECT user_id, "
            "COUNT(*) OVER (PARTITION BY device_key) AS users FROM device_holders) h "
            "WHERE users > 1 GROUP BY user_id"
        )
        _store(
            cursor,
            {"shared_with": "COALESCE(c.users, 0)"},
            f"(SELECT user_id FROM {touched} UNION SELECT user_id FROM shared_counts "
            "UNION SELECT id FROM checks_user WHERE shared_with > 0) t "
            "LEFT JOIN shared_counts c ON c.user_id = t.user_id",
            "u.id = t.user_id",
        )
