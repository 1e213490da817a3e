"""The stored accounts of an HR source by employee id."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

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
class StoredWorkers:
    """Employee key → login key and login, and login key → employee key, of the accounts asked for."""

    logins: Mapping[str, str] = field(default_factory=dict)
    employees: Mapping[str, str] = field(default_factory=dict)


def stored_workers(source: Source, employees: Collection[str], logins: Collection[str]) -> StoredWorkers:
    """The source's accounts with one of these employee keys or login keys. Of several with one employee key the one that is not
    deleted, then the oldest."""
    if not source.pk:
        return StoredWorkers()
    accounts = Account.objects.filter(source=source)
    by_employee = accounts.filter(employee_key__in=employees).values_list(
        "employee_key", "login", "status", "pk"
    )
    ordered = sorted(by_employee, key=lambda row: (row[2] != Status.DELETED, -row[3]))
    by_login = accounts.filter(login_key__in=logins).exclude(status=Status.DELETED)
    return StoredWorkers(
        {employee: login for employee, login, _, _ in ordered},
        dict(by_login.values_list("login_key", "employee_key")),
    )
