"""The stored accounts of an HR source by employee id."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from django.db.models import QuerySet

from checks.importing.employee_ids import employee_key
from checks.importing.placeholders import is_no_entry, is_unknown_word
from checks.importing.rules import Refused
from checks.importing.values import employee_id
from checks.models import Account, Source, Status


def employee_key_of(raw: Mapping[str, object]) -> str:
    """The key of a record's employee id as accounts store it; "" where it has none that identifies a worker."""
    try:
        return employee_key(employee_id(raw.get("employee_id") or ""))
    except Refused:
        return ""


def worker_login_of(raw: Mapping[str, object]) -> str:
    """A record's login as it is written; "" for none and for a placeholder, such as ``n/a``."""
    value = raw.get("login")
    text = "" if value is None else str(value).strip()
    return "" if is_no_entry(text) or is_unknown_word(text) else text


@dataclass(frozen=True, slots=True)
class StoredWorker:
    """A stored account of an HR source: its login, what identifies it, and whether it is deleted."""

    login: str
    login_key: str
    email_key: str
    employee: str
    source_key: str
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class StoredWorkers:
    """The accounts asked for, by employee key (not deleted ones first, then oldest first), and the one with each login key
    that is not deleted."""

    of_employee: Mapping[str, Sequence[StoredWorker]] = field(default_factory=dict)
    of_login: Mapping[str, StoredWorker] = field(default_factory=dict)


def stored_workers(source: Source, employees: Collection[str], logins: Collection[str]) -> StoredWorkers:
    """The source's accounts with one of these employee keys or login keys."""
    if not source.pk:
        return StoredWorkers()
    accounts = Account.objects.filter(source=source)
    of_employee: dict[str, list[StoredWorker]] = {}
    for worker in _workers(accounts.filter(employee_key__in=employees)):
        of_employee.setdefault(worker.employee, []).append(worker)
    for workers in of_employee.values():
        workers.sort(key=attrgetter("is_deleted"))
    live = accounts.filter(login_key__in=logins).exclude(status=Status.DELETED)
    return StoredWorkers(of_employee, {worker.login_key: worker for worker in _workers(live)})


def _workers(accounts: QuerySet[Account]) -> Iterator[StoredWorker]:
    rows = accounts.order_by("pk").values_list(
        "login", "login_key", "email_key", "employee_key", "source_key", "status"
    )
    for login, login_key, email_key, employee, source_key, status in rows:
        yield StoredWorker(login, login_key, email_key, employee, source_key, status == Status.DELETED)
