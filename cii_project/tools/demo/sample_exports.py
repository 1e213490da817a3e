"""The demonstration's users: one seeded population, written as five sources' exports.

A *person* starts healthy: every check passes. Then each *defect* picks some of its candidates and
makes them fail one check (or a few). Version n of the data moves every defect's window along its
candidates, so that some users are cured and others start to fail, and all else stays the same.
"""

import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cii_project.tools.demo import names
from integrations.services import Json, JsonObject

SEED = 20260101
SampleRecord = JsonObject


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One export, and the options with which ``import_users`` reads it."""

    slug: str
    name: str
    provider: str
    file_name: str
    kind: str = "identity"
    map_file: str = ""


SAMPLE_SOURCES = (
    SourceFile("workday", "Workday", "WORKDAY", "workday.csv", kind="hr"),
    SourceFile("okta", "Okta", "OKTA", "okta.csv"),
    SourceFile("entra", "Entra ID", "ENTRA", "entra.jsonl"),
    SourceFile("google", "Google Workspace", "GOOGLE", "google.json"),
    SourceFile("github", "GitHub", "GITHUB", "github.csv", map_file="github-columns.json"),
)
# Our field → GitHub's column; the mapping file that import_users reads.
GITHUB_COLUMNS = {
    "login": "Login",
    "email": "Verified email",
    "display_name": "Name",
    "status": "State",
    "created_at": "Created",
    "last_sign_in_at": "Last active",
    "mfa_enabled": "Two-factor",
    "admin_roles": "Organization roles",
}


@dataclass(slots=True)
class SamplePerson:
    index: int
    kind: str  # employee, contractor, guest, service, mailbox, room
    first: str
    last: str
    login: str
    email: str
    department: str = ""
    title: str = ""
    admin: bool = False
    lead: bool = False
    manager: "SamplePerson | None" = None
    accounts: dict[str, SampleRecord] = field(default_factory=dict)

    @property
    def identity(self) -> list[SampleRecord]:
        return [account for source, account in self.accounts.items() if source != "workday"]

    @property
    def rich(self) -> list[SampleRecord]:
        """The accounts of the sources that report everything (GitHub reports little)."""
        return [account for source, account in self.accounts.items() if source not in ("workday", "github")]


class Clock:
    """Times relative to the moment the data was made, half a day off so that no border is met by minutes."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def ago(self, days: float) -> str:
        return (self.now - timedelta(days=days + 0.5)).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- The healthy population -------------------------------------------------------------------------


def _kinds(users: int) -> list[str]:
    """The number of users of each kind; the rest are employees."""
    shares = {"contractor": 0.08, "guest": 0.06, "service": 0.04, "mailbox": 0.02, "room": 0.02}
    counts = {kind: max(2, round(users * share)) for kind, share in shares.items()}
    others = [kind for kind, count in counts.items() for _ in range(count)]
    return ["employee"] * (users - len(others)) + others


def _person(index: int, kind: str, first: str, last: str, rng: random.Random) -> SamplePerson:
    department = rng.choice(list(names.DEPARTMENTS))
    title = rng.choice(names.DEPARTMENTS[department])
    if kind == "service":
        login = f"svc-{rng.choice(names.SERVICES)}-{index}"
        return SamplePerson(index, kind, "", "", login, "", "IT", "Service account")
    if kind == "mailbox":
        login = f"{department.lower()}-team-{index}@{names.DOMAIN}"
        return SamplePerson(index, kind, "", "", login, login, department, "Shared mailbox")
    if kind == "room":
        login = f"room-{rng.choice(names.ROOM_NAMES).lower()}-{index}@{names.DOMAIN}"
        return SamplePerson(index, kind, "", "", login, login, "", "Meeting room")
    local = f"{first}.{last}".lower()
    domain = names.DOMAIN if kind == "employee" else rng.choice(names.PARTNER_DOMAINS)
    email = f"{local}@{domain}"
    login = f"{local}_{domain}#EXT#@{names.DOMAIN}" if kind == "guest" else email
    return SamplePerson(index, kind, first, last, login, email, department, title)


def _population(users: int, rng: random.Random) -> list[SamplePerson]:
    pairs = [(first, last) for first in names.FIRST for last in names.LAST_NAMES]
    if users > len(pairs):
        raise ValueError(f"The demonstration has names for {len(pairs):,} users. Ask for fewer.")
    rng.shuffle(pairs)
    people = [
        _person(index, kind, *pair, rng)
        for index, (kind, pair) in enumerate(zip(_kinds(users), pairs, strict=False))
    ]
    employees = [person for person in people if person.kind == "employee"]
    leads = employees[: max(4, len(employees) // 10)]
    for place, person in enumerate(leads):
        person.lead = True
        # A tree: each lead reports to one before it; the first one reports to nobody.
        person.manager = leads[(place - 1) // 4] if place else None
    for person in people:
        if not person.lead:
            person.manager = rng.choice(leads)
    for person in rng.sample(employees, max(6, len(employees) // 30)):
        person.admin = True
    return people


def _sources(person: SamplePerson, rng: random.Random) -> list[str]:
    if person.kind == "employee":
        chosen = ["workday", "okta"]
        chosen += ["entra"] if rng.random() < 0.9 else []
        chosen += ["google"] if rng.random() < 0.7 else []
        chosen += ["github"] if person.department in ("Engineering", "IT") else []
        return chosen
    if person.kind == "contractor":
        return [
            "okta",
            *(["google"] if rng.random() < 0.5 else []),
            *(["github"] if rng.random() < 0.3 else []),
        ]
    if person.kind == "service":
        return ["okta", "entra"] if rng.random() < 0.5 else ["okta"]
    return {"guest": ["entra"], "mailbox": ["entra", "google"], "room": ["google"]}[person.kind]


USER_TYPES = {
    "employee": "internal",
    "contractor": "external",
    "guest": "guest",
    "service": "service_account",
    "mailbox": "shared_mailbox",
    "room": "conference_room",
}


def _factors(person: SamplePerson, source: str) -> list[SampleRecord]:
    device = f"{source}-{person.index:05x}"
    if person.kind in ("service", "mailbox"):
        return [{"kind": "certificate", "device": f"cert-{device}", "status": "active"}]
    if person.admin or person.index % 3 == 0:
        return [{"kind": "fido2", "device": f"key-{device}", "status": "active"}]
    kind = "push" if source == "okta" else "totp"
    return [{"kind": kind, "device": f"app-{device}", "status": "active"}]


def _account(person: SamplePerson, source: str, clock: Clock, rng: random.Random) -> SampleRecord:
    age = rng.randint(60, 1500)
    used = {name: rng.uniform(0, 12) for name in rng.sample(names.APPLICATIONS, 3)}
    shown = f"{person.first} {person.last}".strip() or person.login.split("@")[0]
    reports_to = person.manager.email if person.manager else ""
    non_human = person.kind in ("service", "mailbox")
    return {
        "login": person.login,
        "email": person.email,
        "display_name": shown,
        "first_name": person.first,
        "last_name": person.last,
        "employee_id": f"E{person.index:05}" if person.kind == "employee" else "",
        "department": person.department,
        "title": person.title,
        "company": names.COMPANY,
        "manager": "" if non_human else reports_to,
        "owner": reports_to if non_human else "",
        "status": "active",
        "user_type": USER_TYPES[person.kind],
        "created_at": clock.ago(age),
        "status_changed_at": clock.ago(age - 1),
        "password_changed_at": clock.ago(rng.randint(5, 150)),
        "last_sign_in_at": clock.ago(rng.uniform(0, 12)),
        "last_sign_in_country": rng.choice(names.COUNTRIES),
        "last_sign_in_ip": f"{rng.choice(names.NETWORKS)}.{rng.randint(1, 254)}",
        "failed_sign_ins": rng.choice([0, 0, 0, 1]),
        "mfa_enabled": True,
        "mfa_bypass": False,
        "password_never_expires": False,
        "credentials_exposed": False,
        "mfa_factors": _factors(person, source),
        "admin_roles": ["Super Administrator"] if person.admin and source == "okta" else [],
        "groups": ["Everyone", person.department] if person.department else ["Everyone"],
        "forwarding": [],
        "applications": (
            [{"name": name, "last_used_at": clock.ago(days)} for name, days in sorted(used.items())]
            if source == "okta" and not non_human
            else []
        ),
    }


# --- Defects: what makes users fail -----------------------------------------------------------------

SampleChange = Callable[[SamplePerson, Clock], None]
Chosen = Callable[[SamplePerson], bool]


def _set(source: str | None = None, **values: Json) -> SampleChange:
    """Set fields at one source, or at every identity source that reports everything."""

    def change(person: SamplePerson, clock: Clock) -> None:
        for account in [person.accounts[source]] if source else person.rich:
            account.update({key: value(clock) if callable(value) else value for key, value in values.items()})

    return change


def _idle(days: float, failed: int = 0) -> SampleChange:
    def change(person: SamplePerson, clock: Clock) -> None:
        for account in person.identity:
            account.update(last_sign_in_at=clock.ago(days + person.index % 40), failed_sign_ins=failed)

    return change


def _never(person: SamplePerson, clock: Clock) -> None:
    for account in person.identity:
        account["last_sign_in_at"] = None


def _no_factor(person: SamplePerson, clock: Clock) -> None:
    for account in person.identity:
        account.update(mfa_enabled=False, mfa_factors=[])


def _text_message_only(person: SamplePerson, clock: Clock) -> None:
    # Numbers that are reserved for fiction: 555-0100 to 555-0199 of every area.
    number = f"+1{201 + person.index // 100}55501{person.index % 100:02}"
    person.accounts["okta"]["mfa_factors"] = [{"kind": "sms", "device": number, "status": "active"}]


def _app_only(person: SamplePerson, clock: Clock) -> None:
    device = f"app-weak-{person.index:05x}"
    person.accounts["okta"]["mfa_factors"] = [{"kind": "push", "device": device, "status": "active"}]


def _shared_device(person: SamplePerson, clock: Clock) -> None:
    # Neighbours among the candidates share: about three users to a device.
    device = f"app-shared-{person.index // 4:03}"
    person.accounts["okta"]["mfa_factors"] = [{"kind": "push", "device": device, "status": "active"}]


def _left(person: SamplePerson, clock: Clock) -> None:
    for account in person.accounts.values():
        account.update(status="deprovisioned", status_changed_at=clock.ago(20))


def _drop_hr(person: SamplePerson, clock: Clock) -> None:
    del person.accounts["workday"]


def _department_differs(person: SamplePerson, clock: Clock) -> None:
    other = [department for department in names.DEPARTMENTS if department != person.department]
    person.accounts["okta"]["department"] = other[person.index % len(other)]


def _no_manager(person: SamplePerson, clock: Clock) -> None:
    for account in person.accounts.values():
        account["manager"] = ""


def _unused_application(person: SamplePerson, clock: Clock) -> None:
    for place, application in enumerate(person.accounts["okta"]["applications"]):
        if place == 0:
            application["last_used_at"] = clock.ago(45 + person.index % 200)


def _has(*sources: str, kind: str = "employee", admin: bool = False) -> Chosen:
    return lambda p: (
        p.kind == kind and p.admin == admin and not p.lead and all(source in p.accounts for source in sources)
    )


@dataclass(frozen=True, slots=True)
class Defect:
    """``share`` of all users; ``moves``: what part of the window is exchanged by each version."""

    name: str
    share: float
    chosen: Chosen
    change: SampleChange
    moves: float = 0.25
    gains: bool = True
    shuffled: bool = True


DEFECTS = (
    Defect("no factor", 0.055, _has("okta"), _no_factor),
    Defect("service without factor", 0.009, _has("okta", kind="service"), _no_factor),
    Defect("text message only", 0.045, _has("okta"), _text_message_only),
    Defect("administrator with an app only", 0.005, _has("okta", admin=True), _app_only),
    Defect("bypass", 0.007, _has("entra"), _set("entra", mfa_bypass=True)),
    Defect("shared device", 0.012, _has("okta"), _shared_device, shuffled=False),
    Defect("idle", 0.075, _has("okta"), _idle(35)),
    Defect("idle guest", 0.02, _has("entra", kind="guest"), _idle(40)),
    Defect("never signed in", 0.011, _has("okta"), _never),
    Defect("idle administrator", 0.003, _has("okta", admin=True), _idle(50)),
    Defect("old password", 0.08, _has("okta"), _set("okta", password_changed_at=lambda c: c.ago(420))),
    Defect(
        "service with an old password",
        0.015,
        _has("okta", kind="service"),
        _set("okta", password_changed_at=lambda c: c.ago(300)),
    ),
    Defect("password never expires", 0.01, _has("entra"), _set("entra", password_never_expires=True)),
    Defect("no type", 0.017, _has("google"), _set("google", user_type="")),
    Defect("two types", 0.006, _has("google", kind="contractor"), _set("google", user_type="internal")),
    Defect(
        "two statuses",
        0.008,
        _has("google", "okta"),
        _set("google", status="suspended", status_changed_at=lambda c: c.ago(9)),
    ),
    Defect(
        "stuck", 0.009, _has("okta"), _set("okta", status="locked_out", status_changed_at=lambda c: c.ago(40))
    ),
    Defect(
        "terminated",
        0.006,
        _has("workday", "okta"),
        _set("workday", status="disabled", status_changed_at=lambda c: c.ago(12)),
    ),
    Defect("two departments", 0.03, _has("workday", "okta"), _department_differs),
    Defect("no manager", 0.012, _has("okta"), _no_manager),
    Defect("manager left", 0.0015, lambda p: p.lead and p.index > 3, _left, moves=0.4),
    Defect("no owner", 0.008, _has("okta", kind="service"), _set(owner="")),
    Defect(
        "service is administrator",
        0.004,
        _has("okta", kind="service"),
        _set("okta", admin_roles=["API Access Management Administrator"]),
    ),
    Defect(
        "guest is administrator",
        0.002,
        _has("entra", kind="guest"),
        _set("entra", admin_roles=["Groups Administrator"]),
    ),
    Defect("unused application", 0.1, _has("okta"), _unused_application),
    Defect(
        "forwards outside",
        0.007,
        _has("google"),
        _set("google", forwarding=[f"inbox@{names.OUTSIDE_DOMAIN}"]),
    ),
    Defect(
        "from a denied country",
        0.003,
        _has("okta"),
        _set("okta", last_sign_in_country="KP", last_sign_in_at=lambda c: c.ago(-0.4)),
    ),
    Defect("idle and probed", 0.004, _has("okta"), _idle(45, failed=6)),
    Defect("leaked", 0.005, _has("entra"), _set("entra", credentials_exposed=True)),
    # Last, because it removes an account. A record that leaves HR is a termination, so this window only
    # shrinks.
    Defect("not in HR", 0.007, _has("workday", "okta"), _drop_hr, gains=False),
)


def _members(
    defect: Defect, people: list[SamplePerson], users: int, version: int, seed: int
) -> list[SamplePerson]:
    candidates = [person for person in people if defect.chosen(person)]
    if defect.shuffled:
        random.Random(f"{seed}:{defect.name}").shuffle(candidates)  # made-up data  # nosec B311
    return _window(defect, candidates, users, version)


def _window(defect: Defect, candidates: list[SamplePerson], users: int, version: int) -> list[SamplePerson]:
    """The candidates that have the defect in this version (1, 2, …)."""
    # A device is shared by neighbours: two of them may have nobody to share with.
    size = max(2 if defect.shuffled else 4, round(users * defect.share))
    step = max(1, round(size * defect.moves)) * (version - 1)
    if not defect.gains:
        return candidates[min(step, size - 1) : size]
    size = min(size, max(1, len(candidates) // 2))
    return [candidates[(step + place) % len(candidates)] for place in range(size)]


def build(
    now: datetime, *, users: int = 2000, version: int = 1, seed: int = SEED
) -> dict[str, list[SampleRecord]]:
    """Source slug → its records, as the data set of ``docs/importing.md`` writes them.

    The same arguments give the same records. ``users`` is the number of users after joining.
    """
    rng = random.Random(seed)  # made-up data  # nosec B311
    clock = Clock(now)
    people = _population(users, rng)
    for person in people:
        person.accounts = {source: _account(person, source, clock, rng) for source in _sources(person, rng)}
    # All are chosen before any is made, so that one defect never moves another's candidates.
    chosen = [(defect, _members(defect, people, users, version, seed)) for defect in DEFECTS]
    for defect, members in chosen:
        for person in members:
            defect.change(person, clock)
    records: dict[str, list[SampleRecord]] = {source.slug: [] for source in SAMPLE_SOURCES}
    for person in people:
        for source, account in person.accounts.items():
            records[source].append(_as_exported(source, person, account))
    return records


# --- How each source writes it ----------------------------------------------------------------------


def _as_exported(source: str, person: SamplePerson, account: SampleRecord) -> SampleRecord:
    """The account's values as this source writes them."""
    if source == "workday":
        manager = f"E{person.manager.index:05}" if person.manager and account["manager"] else ""
        kept = "email display_name first_name last_name employee_id department title company status user_type"
        return {
            "login": account["employee_id"].lower(),
            **{key: account[key] for key in kept.split()},
            "manager": manager,
            "created_at": account["created_at"][:10],
            "status_changed_at": account["status_changed_at"],
        }
    if source == "github":
        record = {key: account[key] for key in GITHUB_COLUMNS}
        return {**record, "login": f"{person.first}-{person.last}".lower() or account["login"]}
    if source == "okta":
        spelt = {"active": "ACTIVE", "locked_out": "LOCKED_OUT", "deprovisioned": "DEPROVISIONED"}
        record = {key: value for key, value in account.items() if key not in ("mfa_enabled", "company")}
        return {**record, "status": spelt.get(account["status"], account["status"])}
    if source == "google":
        return {
            key: value for key, value in account.items() if key not in ("employee_id", "owner", "company")
        } | ({"owner": account["owner"]} if person.kind == "mailbox" else {})
    return account


def _cell(value: object) -> str:
    """One CSV cell of the data set's list forms: ``kind:device|…``, ``Jira=2026-01-02|Figma=``."""
    if isinstance(value, list):
        return "|".join(_item(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _item(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    if "kind" in item:
        return f"{item['kind']}:{item['device']}"
    return f"{item['name']}={item['last_used_at'] or ''}"


def _write_csv(
    path: Path, records: list[SampleRecord], *, delimiter: str = ",", headers: dict[str, str] | None = None
) -> None:
    columns = list(records[0]) if records else []
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        writer.writerow([(headers or {}).get(column, column) for column in columns])
        writer.writerows([_cell(record[column]) for column in columns] for record in records)


def write(folder: Path, records: dict[str, list[SampleRecord]]) -> None:
    """Write the five exports and GitHub's mapping file into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "workday.csv", records["workday"], delimiter=";")
    _write_csv(folder / "okta.csv", records["okta"])
    _write_csv(folder / "github.csv", records["github"], headers=GITHUB_COLUMNS)
    (folder / "github-columns.json").write_text(json.dumps(GITHUB_COLUMNS, indent=2) + "\n", encoding="utf-8")
    (folder / "google.json").write_text(json.dumps(records["google"], indent=1) + "\n", encoding="utf-8")
    lines = "".join(json.dumps(record) + "\n" for record in records["entra"])
    (folder / "entra.jsonl").write_text(lines, encoding="utf-8")
