"""Checks once more, in plain Python over raw records, written from their description and not from the engine.

A record is the dictionary that an import takes; a person is the list of ``(source, kind, record)``.
``evaluate`` answers for one person and one check: "fails", "unknown", "passes", "outside" or "stale"; ``follow`` says
what becomes of the finding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
ON = {"active", "password_expired", "locked_out", "recovery"}
LOW = {"sms", "voice", "phone", "email", "security_question", "password"}
MEDIUM = {"totp", "push", "software_oath", "hardware_otp"}
RESISTANT = {"fido2", "webauthn", "passkey", "windows_hello", "certificate"}
HIGH = RESISTANT | {"hardware_otp_pin"}
DENIED = {"BY", "CF", "CD", "CU", "IR", "IQ", "KP", "LB", "LY", "RU", "SD", "SO", "SY", "YE"}


def without_the_future(kind: str, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A time more than a day ahead is unknown. A user whose employment ends at a time to come is employed until then."""
    now = datetime.now(UTC)
    times = {
        name: datetime.fromisoformat(raw[name])
        for name in ("created_at", "status_changed_at", "password_changed_at", "last_sign_in_at")
        if raw.get(name) not in (None, "unknown")
    }
    ends = times.get("status_changed_at")
    if kind == "hr" and ends and ends > now:
        del times["status_changed_at"]
        if raw.get("status") in ("disabled", "deprovisioned", "deleted"):
            raw = {**raw, "status": "active", "status_changed_at": "unknown"}
    latest = now + timedelta(days=1)
    applications = [
        {"name": each["name"]} if is_after(each.get("last_used_at"), latest) else each
        for each in known_list(raw.get("applications"))
    ]
    return {
        **raw,
        **{name: "unknown" for name, moment in times.items() if moment > latest},
        **({"applications": applications} if applications else {}),
    }


def known_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def is_after(value: Any, moment: datetime) -> bool:
    return value not in (None, "unknown") and datetime.fromisoformat(value) > moment


@dataclass
class Seen:
    """One record as CHECKS.md reads it: None is unknown; for lists [] is none; for sign-in "never"."""

    kind: str
    raw: Mapping[str, Any]
    # The groups of fields whose values are older than their maximum age.
    too_old: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.raw = without_the_future(self.kind, self.raw)

    def word(self, name: str) -> Any:
        value = self.raw.get(name, "unknown")
        return None if value == "unknown" else value

    def time(self, name: str) -> datetime | None:
        value = self.word(name)
        return datetime.fromisoformat(value) if value else None

    def given(self, name: str) -> Any:
        """For user_type, manager and owner: None unknown, "" none."""
        value = self.raw.get(name, "unknown")
        return None if value == "unknown" else value or ""

    @property
    def status(self) -> str | None:
        return self.word("status")

    @property
    def live(self) -> bool:
        return self.status != "deleted"

    @property
    def identity(self) -> bool:
        return self.kind == "identity" and self.live

    @property
    def on(self) -> bool:
        return self.identity and self.status in ON

    @property
    def created(self) -> datetime:
        return self.time("created_at") or ALWAYS

    def listed(self, name: str) -> list[Any] | None:
        value = self.raw.get(name, "unknown")
        return None if value == "unknown" else value or []

    @property
    def factors(self) -> set[str] | None:
        if self.word("mfa_enabled") is False:
            return set()
        listed = self.listed("mfa_factors")
        return (
            None if listed is None else {f["kind"] for f in listed if f.get("status", "active") == "active"}
        )

    @property
    def mfa(self) -> bool | None:
        enabled = self.word("mfa_enabled")
        if enabled is False:
            return False
        if enabled or self.names_a_second_factor:
            return True
        # A kind that is not recognised may be a second factor or not.
        return False if self.factors is not None and self.factors <= LOW | MEDIUM | HIGH else None

    @property
    def names_a_second_factor(self) -> bool:
        return bool((self.factors or set()) & (LOW | MEDIUM | HIGH) - {"password"})

    @property
    def has_unnamed_factor(self) -> bool:
        """The source says that there is MFA, and its list has no second factor: how strong it is, is unknown."""
        return self.word("mfa_enabled") is True and not self.names_a_second_factor

    @property
    def weak(self) -> bool | None:
        """An unrecognised kind leaves open how strong the account is, unless a strong one is beside it."""
        if self.factors is None or self.has_unnamed_factor:
            return None
        if self.factors & HIGH or not self.factors:
            return False
        return self.factors <= LOW if self.factors <= LOW | MEDIUM else None

    @property
    def resistant(self) -> bool | None:
        if self.factors is None or self.has_unnamed_factor:
            return None
        if self.factors & RESISTANT:
            return True
        return False if self.factors <= LOW | MEDIUM | HIGH else None


@dataclass
class Person:
    """One user with what is needed of others: its manager, and how many share its devices."""

    seen: Sequence[Seen]
    manager_known: bool = False
    manager_on: bool | None = None
    sharing: int = 0

    @property
    def live(self) -> list[Seen]:
        return [each for each in self.seen if each.live]

    @property
    def identity(self) -> list[Seen]:
        return [each for each in self.seen if each.identity]

    @property
    def on(self) -> list[Seen]:
        return [each for each in self.seen if each.on]

    @property
    def perhaps_on(self) -> list[Seen]:
        return [each for each in self.identity if each.status is None]

    @property
    def hr(self) -> list[Seen]:
        return [each for each in self.seen if each.kind == "hr"]

    def over_enabled(self, answer: Callable[[Seen], bool | None]) -> str:
        """Over the enabled accounts. One of unknown status fails for nobody, and lets nobody pass that would fail."""
        perhaps = [False if answer(each) is False else None for each in self.perhaps_on]
        return three([*map(answer, self.on), *perhaps])

    @property
    def types(self) -> list[str | None]:
        return [each.given("user_type") for each in self.live]

    @property
    def protected(self) -> bool:
        of_identity = [each for each in self.seen if each.kind == "identity"] or list(self.seen)
        there = any(each.status not in ("deleted", "deprovisioned", "disabled") for each in of_identity)
        return there and not {"conference_room", "equipment"} & set(self.types)

    @property
    def enabled(self) -> bool | None:
        if self.on:
            return True
        return None if any(each.status is None for each in self.identity) else False

    @property
    def nhi(self) -> bool:
        return bool({"service_account", "shared_mailbox"} & set(self.types))

    @property
    def guest(self) -> bool:
        return bool({"guest", "external"} & set(self.types))

    @property
    def internal(self) -> bool | None:
        known = {each for each in self.types if each}
        return known == {"internal"} if known else None

    @property
    def admin(self) -> bool | None:
        roles = [each.listed("admin_roles") for each in self.live]
        if any(roles):
            return True
        of_identity = [each.listed("admin_roles") for each in self.identity]
        return None if of_identity and all(each is None for each in of_identity) else False

    @property
    def created(self) -> datetime | None:
        return min((t for each in self.identity if (t := each.time("created_at"))), default=None)

    @property
    def sign_in_known(self) -> bool:
        return any(each.raw.get("last_sign_in_at", "unknown") != "unknown" for each in self.identity)

    @property
    def sign_in(self) -> datetime | None:
        return max((t for each in self.identity if (t := each.time("last_sign_in_at"))), default=None)

    @property
    def country(self) -> str:
        latest = [
            each for each in self.identity if self.sign_in and each.time("last_sign_in_at") == self.sign_in
        ]
        return max((each.word("last_sign_in_country") or "" for each in latest), default="")

    @property
    def failed(self) -> int | None:
        known = [n for each in self.identity if (n := each.word("failed_sign_ins")) is not None]
        return sum(known) if known else None


def three(answers: Sequence[bool | None]) -> str:
    """One that fails is enough; else one that cannot say leaves it open."""
    if any(answers):
        return "fails"
    return "unknown" if any(answer is None for answer in answers) else "passes"


def old(moment: datetime | None, days: float, now: datetime) -> bool:
    return moment is not None and now - moment > timedelta(days=days)


def graced(answer: bool | None, created: datetime | None, days: float, now: datetime) -> bool | None:
    """Within the grace period even a failure, known or possible, passes."""
    return answer if old(created or ALWAYS, days, now) else False


# Which checks need a group of fields beside the profile.
READ_BY: Mapping[str, Sequence[str]] = {
    "factors": (
        "no-mfa", "nhi-no-mfa", "weak-mfa-only", "admin-weak-mfa", "mfa-bypass", "shared-authenticator",
    ),
    "roles": ("admin-weak-mfa", "dormant-admin", "nhi-admin", "guest-admin"),
    "sign_in": (
        "inactive-user", "inactive-guest", "never-logged-in", "dormant-admin", "denied-territory",
        "inactive-account-probing",
    ),
    "password": ("password-age", "nhi-password-age", "password-never-expires"),
    "hr": (
        "user-type-missing", "user-type-inconsistent", "status-inconsistent", "terminated-active",
        "missing-in-hr", "hr-mismatch", "no-manager", "manager-inactive", "nhi-no-owner",
    ),
    "applications": ("unused-applications",),
    "forwarding": ("email-forwarding",),
    "risk": ("leaked-credentials",),
}  # fmt: skip


def is_known(slug: str) -> bool:
    """Whether the check is written here: its cases (tests/checks/cases/) are enough for one whose rule is a plain condition."""
    return _function_name(slug) in globals()


def _function_name(slug: str) -> str:
    return "_" + slug.replace("-", "_")


def evaluate(slug: str, person: Person, now: datetime, *, hr_is_known: bool = True) -> str:
    if not person.protected:
        return "outside"
    answer = str(globals()[_function_name(slug)](person, now, hr_is_known))
    too_old = set()
    for account in person.live:
        too_old |= {"hr"} if account.kind == "hr" and account.too_old else account.too_old
    is_stale = "profile" in too_old or any(slug in READ_BY.get(group, ()) for group in too_old)
    return "stale" if answer != "outside" and is_stale else answer


# A finding is "none", "open" or "suspended": resolved as unknown, and not known to be over.
RESOLUTIONS = {"passes": "cured", "unknown": "unknown", "outside": "out_of_scope"}


def follow(finding: str, answer: str) -> tuple[str, str]:
    """What becomes of a finding by the next answer: its state, and what happens: "new", "reopened", or why it is
    resolved."""
    if answer == "stale":
        return finding, ""
    if answer == "fails":
        return "open", {"none": "new", "suspended": "reopened", "open": ""}[finding]
    if answer == "unknown":
        return ("suspended", "unknown") if finding == "open" else (finding, "")
    return "none", RESOLUTIONS[answer] if finding == "open" else ""


def _no_mfa(p: Person, now: datetime, _: bool) -> str:
    if p.nhi:
        return "outside"
    return p.over_enabled(lambda a: graced(None if a.mfa is None else not a.mfa, a.created, 14, now))


def _nhi_no_mfa(p: Person, now: datetime, _: bool) -> str:
    if not p.nhi:
        return "outside"
    if any(a.mfa for a in p.on):
        return "passes"
    lacking = [a for a in p.on if a.mfa is False]
    if lacking:
        return "fails" if all(old(a.created, 1, now) for a in lacking) else "passes"
    return "unknown" if p.on or any(a.mfa is not True for a in p.perhaps_on) else "passes"


def _weak_mfa_only(p: Person, now: datetime, _: bool) -> str:
    return p.over_enabled(lambda a: graced(a.weak, a.created, 14, now))


def _admin_weak_mfa(p: Person, now: datetime, _: bool) -> str:
    if p.admin is False:
        return "outside"
    answer = p.over_enabled(
        lambda a: graced(None if a.resistant is None else not a.resistant, a.created, 0, now)
    )
    return "unknown" if answer == "fails" and p.admin is None else answer


def _mfa_bypass(p: Person, now: datetime, _: bool) -> str:
    return p.over_enabled(lambda a: a.word("mfa_bypass"))


def _shared_authenticator(p: Person, now: datetime, _: bool) -> str:
    return "fails" if p.sharing >= 2 else "passes"


def _idle(p: Person, now: datetime, *, certain: bool) -> str:
    if p.enabled is False:
        return "outside"
    if not p.sign_in_known:
        return "unknown"
    if not old(p.sign_in, 30, now):
        return "passes"
    return "fails" if p.enabled and certain else "unknown"


def _inactive_user(p: Person, now: datetime, _: bool) -> str:
    return "outside" if p.guest else _idle(p, now, certain=True)


def _inactive_guest(p: Person, now: datetime, _: bool) -> str:
    return _idle(p, now, certain=True) if p.guest else "outside"


def _dormant_admin(p: Person, now: datetime, _: bool) -> str:
    return "outside" if p.admin is False else _idle(p, now, certain=p.admin is True)


def _never_logged_in(p: Person, now: datetime, _: bool) -> str:
    if p.enabled is False:
        return "outside"
    if not p.identity or p.sign_in or not old(p.created or ALWAYS, 7, now):
        return "passes"
    return "fails" if p.sign_in_known else "unknown"


def _password(p: Person, now: datetime, days: int) -> str:
    changed = [a.time("password_changed_at") for a in p.on] + [None for _ in p.perhaps_on]
    return three([None if moment is None else old(moment, days, now) for moment in changed])


def _password_age(p: Person, now: datetime, _: bool) -> str:
    return "outside" if p.nhi else _password(p, now, 365)


def _nhi_password_age(p: Person, now: datetime, _: bool) -> str:
    return _password(p, now, 180) if p.nhi else "outside"


def _password_never_expires(p: Person, now: datetime, _: bool) -> str:
    return p.over_enabled(lambda a: a.word("password_never_expires"))


def _user_type_missing(p: Person, now: datetime, _: bool) -> str:
    return three([None if each is None else each == "" for each in p.types])


def _user_type_inconsistent(p: Person, now: datetime, _: bool) -> str:
    known = [each for each in p.types if each]
    if len(set(known)) > 1:
        return "fails"
    return "unknown" if len(p.types) > 1 and len(known) < 2 and None in p.types else "passes"


def _status_inconsistent(p: Person, now: datetime, _: bool) -> str:
    statuses = {a.status for a in p.live}
    if "active" in statuses and statuses & {"disabled", "suspended", "deprovisioned"}:
        return "fails"
    return "unknown" if len(p.live) > 1 and None in statuses else "passes"


def _stuck_state(p: Person, now: datetime, _: bool) -> str:
    passing = {"staged", "provisioned", "recovery", "password_expired", "locked_out", "transient"}
    since = [a.time("status_changed_at") for a in p.identity if a.status in passing]
    since += [None for _ in p.perhaps_on]
    return three([None if moment is None else old(moment, 14, now) for moment in since])


def _terminated_active(p: Person, now: datetime, _: bool) -> str:
    if not p.hr or p.enabled is False:
        return "outside"
    if any(a.status in ("active", "on_leave") for a in p.hr):
        return "passes"
    if any(a.status is None for a in p.hr):
        return "unknown"
    if not old(max(a.time("status_changed_at") or ALWAYS for a in p.hr), 0, now):
        return "passes"
    return "fails" if p.enabled else "unknown"


def _missing_in_hr(p: Person, now: datetime, hr_is_known: bool) -> str:
    if p.nhi or p.internal is False:
        return "outside"
    if not hr_is_known:
        return "unknown"
    if p.hr or not old(p.created or ALWAYS, 7, now):
        return "passes"
    return "fails" if p.internal else "unknown"


def _hr_mismatch(p: Person, now: datetime, _: bool) -> str:
    if not p.hr:
        return "outside"
    answers: list[bool | None] = []
    for name in ("manager", "department", "title"):
        pairs = [
            (str(h.raw[name]).strip().casefold(), str(i.raw[name]).strip().casefold())
            for h in p.hr
            for i in p.identity
            if h.live and h.word(name) and i.word(name)
        ]
        answers.append(any(one != other for one, other in pairs) if pairs else None)
    if any(answers):
        return "fails"
    return "unknown" if all(answer is None for answer in answers) else "passes"


def _given(p: Person, name: str) -> bool | None:
    values = [a.given(name) for a in p.live]
    if any(values):
        return True
    return False if "" in values else None


def _no_manager(p: Person, now: datetime, _: bool) -> str:
    given = _given(p, "manager")
    return "outside" if p.nhi else three([None if given is None else not given])


def _manager_inactive(p: Person, now: datetime, _: bool) -> str:
    given = _given(p, "manager")
    if given is False:
        return "outside"
    if given is None:
        return "unknown"
    if not p.manager_known:
        return "unknown"
    return three([None if p.manager_on is None else not p.manager_on])


def _nhi_no_owner(p: Person, now: datetime, _: bool) -> str:
    given = _given(p, "owner")
    return three([None if given is None else not given]) if p.nhi else "outside"


def _nhi_admin(p: Person, now: datetime, _: bool) -> str:
    return three([p.admin]) if p.nhi else "outside"


def _guest_admin(p: Person, now: datetime, _: bool) -> str:
    return three([p.admin]) if p.guest else "outside"


def _unused_applications(p: Person, now: datetime, _: bool) -> str:
    answers: list[bool | None] = []
    for account in p.identity:
        applications = account.listed("applications")
        if applications is None:
            answers.append(None)
            continue
        for application in applications:
            used = application.get("last_used_at", "unknown")
            if used == "unknown":
                answers.append(None)
            else:
                answers.append(old(datetime.fromisoformat(used) if used else account.created, 30, now))
    return three(answers)


def _email_forwarding(p: Person, now: datetime, _: bool) -> str:
    own = {
        str(a.raw[name]).rpartition("@")[2]
        for a in p.seen
        for name in ("login", "email")
        if "@" in a.raw[name]
    }
    answers: list[bool | None] = []
    for account in p.identity:
        forwarding = account.listed("forwarding")
        if forwarding is None:
            answers.append(None)
        else:
            answers += [address.rpartition("@")[2] not in own for address in forwarding]
    return three(answers)


def _denied_territory(p: Person, now: datetime, _: bool) -> str:
    if p.sign_in:
        return three([p.country in DENIED if p.country else None])
    return "unknown" if p.identity and not p.sign_in_known else "passes"


def _inactive_account_probing(p: Person, now: datetime, _: bool) -> str:
    if not p.identity or (p.failed is not None and p.failed < 2):
        return "passes"
    if p.sign_in_known:
        if not old(p.sign_in, 30, now):
            return "passes"
        return "fails" if p.failed is not None else "unknown"
    return "unknown"


def _leaked_credentials(p: Person, now: datetime, _: bool) -> str:
    return three([a.word("credentials_exposed") for a in p.identity])
