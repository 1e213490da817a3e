"""The floors of ``evaluate``: the rules by hand, on the product's own tables.

:func:`obvious` evaluates each rule separately: an ``INSERT … SELECT`` of users who fail and have no open
finding, and an ``UPDATE`` of users with a finding who no longer fail. :func:`one_pass` is what an engineer
would write who knows both databases: all rules at once, one bit a rule, a column ``floor_bits`` holding the
bits of the last time. Neither knows of settings, scope, freshness or a third value, and neither counts.
"""

# ruff: noqa: S608  the statements are put together from our own texts

from datetime import datetime, timedelta
from uuid import uuid4

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from checks.models import Check

RULES = {
    "no-mfa": "NOT nhi AND no_mfa_since < {d14}",
    "nhi-no-mfa": "nhi AND NOT has_mfa AND no_mfa_latest < {d1}",
    "weak-mfa-only": "weak_mfa_since < {d14}",
    "admin-weak-mfa": "admin AND not_resistant_since < {d0}",
    "mfa-bypass": "mfa_bypass",
    "shared-authenticator": "shared_with >= 2",
    "inactive-user": "NOT guest AND enabled AND last_sign_in_at < {d30}",
    "inactive-guest": "guest AND enabled AND last_sign_in_at < {d30}",
    "never-logged-in": (
        "last_sign_in_known AND last_sign_in_at IS NULL AND (created_at IS NULL OR created_at < {d7})"
    ),
    "dormant-admin": "admin AND enabled AND last_sign_in_at < {d30}",
    "password-age": "NOT nhi AND password_changed_at < {d365}",
    "nhi-password-age": "nhi AND password_changed_at < {d180}",
    "password-never-expires": "password_never_expires",
    "user-type-missing": "type_missing",
    "user-type-inconsistent": "type_inconsistent",
    "status-inconsistent": "status_inconsistent",
    "stuck-state": "stuck_since < {d14}",
    "terminated-active": "in_hr AND enabled AND terminated_since < {d0}",
    "missing-in-hr": (
        "NOT nhi AND internal AND NOT in_hr AND (created_at IS NULL OR created_at < {d7}) AND EXISTS ("
        "SELECT 1 FROM checks_account a JOIN checks_source s ON s.id = a.source_id WHERE s.kind = 'hr')"
    ),
    "hr-mismatch": "in_hr AND (hr_manager_differs OR hr_department_differs OR hr_title_differs)",
    "no-manager": "NOT nhi AND NOT manager_given",
    "manager-inactive": "manager_given AND (manager_id IS NULL OR NOT manager_enabled)",
    "nhi-no-owner": "nhi AND NOT owner_given",
    "nhi-admin": "nhi AND admin",
    "guest-admin": "guest AND admin",
    "unused-applications": "app_unused_since < {d30}",
    "email-forwarding": (
        "forwards AND EXISTS (SELECT 1 FROM checks_account a JOIN checks_source s ON s.id = a.source_id "
        "JOIN checks_forward f ON f.account_id = a.id WHERE a.user_id = checks_user.id AND s.kind = 'identity' "
        "AND COALESCE(a.status, '') <> 'deleted' AND f.domain <> checks_user.domain AND NOT EXISTS ("
        "SELECT 1 FROM checks_account o WHERE o.user_id = checks_user.id AND "
        "(o.email_key LIKE '%@' || f.domain OR o.login_key LIKE '%@' || f.domain)))"
    ),
    "denied-territory": (
        "last_sign_in_at IS NOT NULL AND last_sign_in_country IN "
        "('BY','CD','CF','CU','IQ','IR','KP','LB','LY','RU','SD','SO','SY','YE')"
    ),
    "inactive-account-probing": "last_sign_in_at < {d30} AND failed_sign_ins >= 2",
    "leaked-credentials": "credentials_exposed",
}


def obvious(now: datetime) -> None:
    """Rule by rule: open findings for users who fail and have none, resolve those of users who no longer fail."""
    ids, cuts = _ids(), _cuts(now)
    moment, run_id = _time(now), f"'{uuid4().hex}'"
    with transaction.atomic(), connection.cursor() as cursor:
        _prepare(cursor)
        for slug, rule in RULES.items():
            fails = f"protected AND ({rule.format(**cuts)})"
            mine = f"f.check_id = {ids[slug]} AND f.resolved_at IS NULL"
            cursor.execute(
                "INSERT INTO checks_finding (check_id, user_id, opened_at, opened_run_id, resolution) "
                f"SELECT {ids[slug]}, checks_user.id, {moment}, {run_id}, '' FROM checks_user WHERE {fails} AND "
                f"NOT EXISTS (SELECT 1 FROM checks_finding f WHERE {mine} AND f.user_id = checks_user.id)"
            )
            cursor.execute(
                f"UPDATE checks_finding AS f SET resolved_at = {moment}, resolved_run_id = {run_id}, "
                f"resolution = 'cured' WHERE {mine} AND NOT EXISTS "
                f"(SELECT 1 FROM checks_user WHERE checks_user.id = f.user_id AND {fails})"
            )


def one_pass(now: datetime) -> None:
    """Open the findings of users who now fail, resolve those of users who no longer do, store the bits."""
    ids, cuts = _ids(), _cuts(now)
    bits = {slug: 1 << place for place, slug in enumerate(RULES)}
    mask = " + ".join(
        f"CASE WHEN {rule.format(**cuts)} THEN {bits[slug]} ELSE 0 END" for slug, rule in RULES.items()
    )
    checks = " UNION ALL ".join(f"SELECT {ids[slug]} AS id, {bit} AS bit" for slug, bit in bits.items())
    moment, run_id = _time(now), f"'{uuid4().hex}'"
    with transaction.atomic(), connection.cursor() as cursor:
        _prepare(cursor)
        cursor.execute(
            "CREATE TEMPORARY TABLE floor_changed AS SELECT id AS user_id, old, new FROM ("
            f"SELECT id, floor_bits AS old, CASE WHEN protected THEN {mask} ELSE 0 END AS new FROM checks_user "
            "LIMIT 9223372036854775807 OFFSET 0) evaluated WHERE old <> new"
        )
        cursor.execute(f"CREATE TEMPORARY TABLE floor_check AS {checks}")
        cursor.execute(
            "INSERT INTO checks_finding (check_id, user_id, opened_at, opened_run_id, resolution) "
            f"SELECT k.id, c.user_id, {moment}, {run_id}, '' FROM floor_check k CROSS JOIN floor_changed c "
            "WHERE (c.new & k.bit) <> 0 AND (c.old & k.bit) = 0"
        )
        cursor.execute(
            f"UPDATE checks_finding SET resolved_at = {moment}, resolved_run_id = {run_id}, resolution = 'cured' "
            "FROM floor_changed c JOIN floor_check k ON (c.old & k.bit) <> 0 AND (c.new & k.bit) = 0 "
            "WHERE checks_finding.check_id = k.id AND checks_finding.user_id = c.user_id "
            "AND checks_finding.resolved_at IS NULL"
        )
        cursor.execute(
            "UPDATE checks_user SET floor_bits = c.new FROM floor_changed c WHERE checks_user.id = c.user_id"
        )
        cursor.execute("DROP TABLE floor_check")
        cursor.execute("DROP TABLE floor_changed")


def keep_bits() -> None:
    """The floor's own column, in its own database."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE checks_user ADD COLUMN floor_bits bigint NOT NULL DEFAULT 0")


def match_bits() -> None:
    """Set the column from the open findings. An import that joins two users moves findings from one to the
    other."""
    ids = _ids()
    checks = " UNION ALL ".join(
        f"SELECT {ids[slug]} AS id, {1 << place} AS bit" for place, slug in enumerate(RULES)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE checks_user SET floor_bits = o.bits FROM (SELECT u.id, SUM(COALESCE(k.bit, 0)) AS bits "
            f"FROM checks_user u LEFT JOIN checks_finding f ON f.user_id = u.id AND f.resolved_at IS NULL "
            f"LEFT JOIN ({checks}) k ON k.id = f.check_id GROUP BY u.id) o "
            f"WHERE o.id = checks_user.id AND o.bits <> checks_user.floor_bits"
        )


def _ids() -> dict[str, int]:
    return dict(Check.objects.values_list("slug", "id"))


def _cuts(now: datetime) -> dict[str, str]:
    """The moments that the rules name: ``d14`` is fourteen days ago."""
    return {f"d{days}": _time(now - timedelta(days=days)) for days in (0, 1, 7, 14, 30, 180, 365)}


def _prepare(cursor: CursorWrapper) -> None:
    if connection.vendor == "postgresql":
        cursor.execute("SET LOCAL jit = off")


def _time(moment: datetime) -> str:
    stored = connection.ops.adapt_datetimefield_value(moment)
    return f"TIMESTAMPTZ '{moment.isoformat()}'" if connection.vendor == "postgresql" else f"'{stored}'"
