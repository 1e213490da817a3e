"""Why users cannot be evaluated: which fields are unknown or too old, and at which source.

A run counts the causes of each check with unknown users (:func:`find_causes`) and stores them with its result. Of many
users a sample is looked at, so that the cost does not grow with their number: a share is exact up to :data:`SAMPLE`
unknown users of a check.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TypedDict

from django.db import connection
from django.db.backends.utils import CursorWrapper

from checks import dialect
from checks.engine import statements
from checks.engine.outcomes import Place
from checks.engine.rules import Rule
from checks.freshness import facts_read, outdated_sources
from checks.models import ENABLED_STATUSES, TEMPORARY_STATUSES, FieldGroup, Source, SourceKind

# Unknown users of one check that are examined.
SAMPLE = 1_000
# For common checks, one in this many of the users with an unknown outcome is sampled; a power of two.
GATHERED_ONE_IN = 16
MOST_CAUSES = 10
# Causes in one sentence.
SHOWN_CAUSES = 3
# A smaller share of the unknown users is not worth a word.
LEAST_SHARE = 0.01
NO_HR = "no_hr"
_OLD = "old_"


@dataclass(frozen=True, slots=True)
class UnknownCause:
    """A cause of unknown users of one check. ``source``: its name, empty for none; ``share``: of the unknown users that
    it concerns, 0 to 1, or 0 where it was not counted."""

    name: str
    source: str
    share: float


class StoredCause(TypedDict):
    """A cause as ``CheckResult.unknown_causes`` holds it."""

    name: str
    source: str
    share: float


_IDENTITY = "s.kind = 'identity'"
_STATUS_UNKNOWN = f"{_IDENTITY} AND a.status IS NULL"
_ENABLED = f"{_IDENTITY} AND a.status IN {dialect.words(ENABLED_STATUSES)}"
_TEMPORARY = f"{_IDENTITY} AND a.status IN {dialect.words(TEMPORARY_STATUSES)}"
# Fact of a user → (cause, condition on the user (u), an account that is not deleted (a) and its source (s)) each.
_CAUSES: Mapping[str, Sequence[tuple[str, str]]] = {
    "enabled": [("status", f"u.enabled IS NULL AND {_STATUS_UNKNOWN}")],
    "internal": [("user_type", "u.internal IS NULL AND COALESCE(a.user_type, '') = ''")],
    "admin": [("admin_roles", f"u.admin IS NULL AND {_IDENTITY} AND a.is_admin IS NULL")],
    "last_sign_in_known": [
        ("last_sign_in_at", f"NOT u.last_sign_in_known AND {_IDENTITY} AND NOT a.last_sign_in_known")
    ],
    "last_sign_in_country": [
        (
            "last_sign_in_country",
            f"u.last_sign_in_at IS NOT NULL AND u.last_sign_in_country = '' AND {_IDENTITY} "
            "AND a.last_sign_in_country = ''",
        )
    ],
    "failed_sign_ins": [
        ("failed_sign_ins", f"u.failed_sign_ins IS NULL AND {_IDENTITY} AND a.failed_sign_ins IS NULL")
    ],
    "mfa_unknown_since": [
        ("status", f"{_STATUS_UNKNOWN} AND a.mfa IS NOT TRUE"),
        ("mfa_factors", f"{_ENABLED} AND a.mfa IS NULL"),
    ],
    "weak_unknown_since": [
        ("status", f"{_STATUS_UNKNOWN} AND COALESCE(a.assurance, 1) = 1"),
        ("assurance", f"{_ENABLED} AND a.assurance IS NULL AND a.phishing_resistant IS NULL"),
    ],
    "resistant_unknown_since": [
        ("status", f"{_STATUS_UNKNOWN} AND a.phishing_resistant IS NOT TRUE"),
        ("assurance", f"{_ENABLED} AND a.phishing_resistant IS NULL"),
    ],
    "mfa_bypass": [
        ("status", f"u.mfa_bypass IS NULL AND {_STATUS_UNKNOWN} AND a.mfa_bypass IS NOT FALSE"),
        ("mfa_bypass", f"u.mfa_bypass IS NULL AND {_ENABLED} AND a.mfa_bypass IS NULL"),
    ],
    "password_unknown": [
        ("status", _STATUS_UNKNOWN),
        ("password_changed_at", f"{_ENABLED} AND a.password_changed_at IS NULL"),
    ],
    "password_never_expires": [
        ("status", f"u.password_never_expires IS NULL AND {_STATUS_UNKNOWN}"),
        (
            "password_never_expires",
            f"u.password_never_expires IS NULL AND {_ENABLED} AND a.password_never_expires IS NULL",
        ),
    ],
    "stuck_unknown": [
        ("status", _STATUS_UNKNOWN),
        ("status_changed_at", f"{_TEMPORARY} AND a.status_changed_at IS NULL"),
    ],
    "type_missing": [("user_type", "u.type_missing IS NULL AND a.user_type IS NULL")],
    "type_inconsistent": [("user_type", "u.type_inconsistent IS NULL AND a.user_type IS NULL")],
    "status_inconsistent": [("status", "u.status_inconsistent IS NULL AND a.status IS NULL")],
    "hr_status_unknown": [("status", "u.hr_status_unknown AND s.kind = 'hr' AND a.status IS NULL")],
    "hr_unknown": [
        (
            "employee_id",
            f"u.hr_unknown AND {_IDENTITY} AND a.employee_id <> '' "
            "AND (a.employee_key = '' OR a.employee_id_shared)",
        )
    ],
    "hr_manager_differs": [("manager", "u.hr_manager_differs IS NULL AND a.manager_key = ''")],
    "hr_department_differs": [("department", "u.hr_department_differs IS NULL AND a.department_key = ''")],
    "hr_title_differs": [("title", "u.hr_title_differs IS NULL AND a.title_key = ''")],
    "manager_given": [("manager", "u.manager_given IS NULL AND a.manager IS NULL")],
    "manager_enabled": [
        ("manager_unmatched", "u.manager_id IS NULL AND a.manager <> ''"),
        (
            "manager_status",
            "u.manager_id IS NOT NULL AND u.manager_enabled IS NULL AND a.manager <> ''",
        ),
    ],
    "owner_given": [("owner", "u.owner_given IS NULL AND a.owner IS NULL")],
    "applications_unknown": [("applications", f"{_IDENTITY} AND NOT a.applications_known")],
    "forwards": [("forwarding", f"{_IDENTITY} AND a.forwarding IS NULL")],
    "credentials_exposed": [
        (
            "credentials_exposed",
            f"u.credentials_exposed IS NULL AND {_IDENTITY} AND a.credentials_exposed IS NULL",
        )
    ],
}
_BIT = {
    (fact, name): 1 << place
    for place, (fact, name) in enumerate(
        (fact, name) for fact, causes in _CAUSES.items() for name, _ in causes
    )
}
_MASK = " + ".join(
    f"CASE WHEN {condition} THEN {_BIT[fact, name]} ELSE 0 END"
    for fact, causes in _CAUSES.items()
    for name, condition in causes
)
_TEXTS = {
    "status": "{source} gives no status",
    "user_type": "{source} gives no user type",
    "admin_roles": "{source} gives no administrator roles",
    "last_sign_in_at": "{source} gives no last sign-in",
    "last_sign_in_country": "{source} gives no country of the last sign-in",
    "failed_sign_ins": "{source} gives no failed sign-ins",
    "mfa_factors": "{source} does not say whether there is MFA",
    "assurance": "{source} does not say how strong the MFA factors are",
    "mfa_bypass": "{source} does not say who may bypass MFA",
    "password_changed_at": "{source} gives no time of the last password change",
    "password_never_expires": "{source} does not say whether passwords expire",
    "status_changed_at": "{source} does not say since when the status holds",
    "employee_id": "employee ids of {source} join nobody",
    "department": "{source} gives no department",
    "title": "{source} gives no title",
    "manager": "{source} gives no manager",
    "manager_unmatched": "managers named by {source} match no user",
    "manager_status": "the status of managers named by {source} is unknown",
    "owner": "{source} gives no owner",
    "applications": "{source} does not say when applications were used",
    "forwarding": "{source} does not say whether mail is forwarded",
    "credentials_exposed": "{source} does not report exposed credentials",
    NO_HR: "no HR record is imported",
}


def find_causes(
    cursor: CursorWrapper,
    rules: Sequence[tuple[Rule, Place]],
    unknown: Mapping[str, int],
    stale: Mapping[str, int],
    now: datetime,
) -> dict[str, list[UnknownCause]]:
    """The causes of each check with unknown or stale users, by slug, the most frequent first.

    Reads ``checks_outcome``. ``unknown``, ``stale``: slug → users.
    """
    names = dict(Source.objects.values_list("pk", "name"))
    sizes = _sample(cursor, rules, unknown)
    shares: dict[int, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
    facts = {rule.check.pk: facts_read(rule.audience, rule.fails, rule.unknown) for rule, _ in rules}
    for check, source, mask, users in _counted(cursor) if sizes else ():
        for name in _causes_of(mask, facts[check]):
            shares[check][name, names.get(source, "")] += users / sizes[check]
    no_hr = not Source.objects.filter(kind=SourceKind.HR, accounts__isnull=False).exists()
    found: dict[str, list[UnknownCause]] = {}
    for rule, _ in rules:
        slug = rule.check.slug
        causes = [
            UnknownCause(name, source, min(1.0, round(share, 3)))
            for (name, source), share in shares[rule.check.pk].items()
            if share >= LEAST_SHARE
        ]
        if no_hr and unknown[slug] and "in_hr" in facts[rule.check.pk]:
            causes = [UnknownCause(NO_HR, "", 1.0)]
        if stale[slug]:
            causes += [
                UnknownCause(f"{_OLD}{group}", name, 0.0) for group, name in outdated_sources(rule.reads, now)
            ]
        found[slug] = sorted(causes, key=lambda cause: (-cause.share, cause.source, cause.name))[:MOST_CAUSES]
    return found


def causes_of_user(user_id: int, rules: Iterable[Rule]) -> dict[str, list[UnknownCause]]:
    """The unknown fields of one user for each of these rules, by slug and source. Takes two statements."""
    with connection.cursor() as cursor:
        cursor.execute(statements.causes_of_user(_MASK), [user_id])
        masks = [(str(source), int(mask)) for source, mask in cursor.fetchall()]
    has_hr = Source.objects.filter(kind=SourceKind.HR, accounts__isnull=False).exists()
    found: dict[str, list[UnknownCause]] = {}
    for rule in rules:
        facts = facts_read(rule.audience, rule.fails, rule.unknown)
        named = sorted((source, name) for source, mask in masks for name in _causes_of(mask, facts))
        causes = [UnknownCause(name, source, 1.0) for source, name in named]
        if not has_hr and "in_hr" in facts:
            causes = [UnknownCause(NO_HR, "", 1.0)]
        found[rule.check.slug] = causes[:MOST_CAUSES]
    return found


def _sample(
    cursor: CursorWrapper, rules: Sequence[tuple[Rule, Place]], unknown: Mapping[str, int]
) -> dict[int, int]:
    """Fill ``checks_unknown`` with unknown users of each check; check → how many."""
    sizes = {}
    rates = [(rule.check.pk, place, _one_in(unknown[rule.check.slug])) for rule, place in rules]
    for table in (statements.GATHERED_TABLE, statements.UNKNOWN_TABLE):
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
    cursor.execute(statements.CREATE_UNKNOWN)
    rare: dict[int, int] = defaultdict(int)
    for _, place, every in rates:
        if 0 < every < GATHERED_ONE_IN:
            rare[place.word] |= 1 << place.shift
    cursor.execute(statements.gather_unknown(1 + rules[-1][1].word, GATHERED_ONE_IN, rare))
    for check, place, every in rates:
        if every:
            cursor.execute(statements.sample_unknown(place, every), [check])
            if cursor.rowcount:
                sizes[check] = cursor.rowcount
    dialect.analyze(cursor, statements.UNKNOWN_TABLE)
    return sizes


def _one_in(users: int) -> int:
    """The power of two by which to sample ``users`` so that about :data:`SAMPLE` are left; 0 for no users."""
    return 1 << max(0, (users // SAMPLE).bit_length() - 1) if users else 0


def _counted(cursor: CursorWrapper) -> list[tuple[int, int, int, int]]:
    """check, source, bits of the causes (:data:`_BIT`), users."""
    cursor.execute(statements.count_causes(_MASK))
    return [tuple(row) for row in cursor.fetchall()]


def _causes_of(mask: int, facts: frozenset[str]) -> set[str]:
    return {name for (fact, name), bit in _BIT.items() if mask & bit and fact in facts}


def as_json(causes: Iterable[UnknownCause]) -> list[dict[str, object]]:
    """The form in which a result stores them."""
    return [asdict(cause) for cause in causes]


def reported_causes(stored: Iterable[StoredCause]) -> list[UnknownCause]:
    """The causes of ``CheckResult.unknown_causes``."""
    return [UnknownCause(str(each["name"]), str(each["source"]), float(each["share"])) for each in stored]


def cause_texts(causes: Iterable[UnknownCause]) -> list[str]:
    """One phrase each: ``Okta gives no status (92 %)``."""
    return [_text(cause) for cause in causes]


def causes_text(causes: Sequence[UnknownCause]) -> str:
    """The first causes in one line; empty for none."""
    texts = cause_texts(causes[:SHOWN_CAUSES])
    if more := len(causes) - len(texts):
        texts.append(f"{more} more cause{'' if more == 1 else 's'}")
    return "; ".join(texts)


def _text(cause: UnknownCause) -> str:
    source = cause.source or "a source"
    if cause.name.startswith(_OLD):
        group = FieldGroup(cause.name.removeprefix(_OLD)).label
        return f"values of {source} are too old: {group}"
    text = _TEXTS.get(cause.name, f"{cause.name} of {{source}} is unknown").format(source=source)
    percent = round(100 * cause.share)
    return text if not percent or percent >= 100 else f"{text} ({percent} %)"
