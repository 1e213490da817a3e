"""The logins of an HR system's records, by which an import finds the account of each worker.

An address as login is not a worker's own: it changes, leavers lose it, and rehires or namesakes get it. So the employee
id tells whose account it is, and the record takes the login that is stored with it. A user name is a worker's own, and an
employee id that changes beside it, or beside an address that nobody else has, was corrected.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from checks.models import Source
from checks.services import (
    StoredWorker,
    StoredWorkers,
    employee_key_of,
    folded,
    source_key_of,
    stored_workers,
    worker_login_of,
)
from integrations.services import Read

# Records that are looked up together.
LOOKED_UP = 500


def with_worker_logins(records: Iterable[Read], source: Source) -> Iterator[Read]:
    """The records by field; those of workers have the login of their account."""
    remaining, logins = iter(records), _WorkerLogins()
    while batch := list(islice(remaining, LOOKED_UP)):
        logins.look_up(source, [record for _, record in batch if isinstance(record, dict)])
        for line, record in batch:
            if isinstance(record, dict):
                logins.choose(record)
            yield line, record


@dataclass(frozen=True, slots=True)
class _WorkerRecord:
    """What a record says of its worker. ``key``: the login key."""

    login: str
    key: str
    employee: str
    email_key: str
    source_key: str

    @property
    def has_address(self) -> bool:
        """Whether the login is an address, which may have been another worker's."""
        return "@" in self.key


def _worker_record(record: dict[str, object]) -> _WorkerRecord:
    login = worker_login_of(record)
    email = folded(str(record.get("email") or "").strip())
    return _WorkerRecord(login, folded(login), employee_key_of(record), email, source_key_of(record))


class _WorkerLogins:
    """``taken``: login key → employee key of the first record that has it; ``replaced``: login key of a record → the
    stored login that its worker has in its place; ``claimed``: login key → employee key of the record of the batch whose
    account has it; ``written``: login key → employee keys of the batch's records that have it in their column."""

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}
        self.replaced: dict[str, str] = {}
        self.claimed: dict[str, str] = {}
        self.written: dict[str, set[str]] = {}
        self.stored = StoredWorkers()

    def look_up(self, source: Source, records: list[dict[str, object]]) -> None:
        """Read the stored accounts of a batch, and find out which of them its records are of."""
        workers = [_worker_record(record) for record in records]
        employees = {worker.employee for worker in workers if worker.employee}
        self.stored = stored_workers(source, employees, {worker.key for worker in workers if worker.key})
        self.written = {}
        for worker in workers:
            self.written.setdefault(worker.key, set()).add(worker.employee)
        self._claim([worker for worker in workers if worker.employee])

    def choose(self, record: dict[str, object]) -> None:
        """Set the record's login, where another one than that of its column is needed."""
        worker = _worker_record(record)
        if "email" not in record and worker.has_address:
            record["email"] = worker.login
        login = worker.login
        if worker.employee:
            login = self._login_of(worker) or str(record["employee_id"]).strip()
        if login != worker.login:
            record["login"] = login
        if login:
            self.taken.setdefault(folded(login), worker.employee)

    def _claim(self, workers: list[_WorkerRecord]) -> None:
        """Fill ``claimed``: by the login and the employee id of a stored account, else by the employee id alone."""
        self.claimed = {worker.key: worker.employee for worker in workers if self._is_stored(worker)}
        while True:
            found = {
                own.login_key: worker.employee
                for worker in workers
                if (own := self._own(worker)) and (self._goes_by_id(worker) or not self._is_free(worker))
            }
            new = found.keys() - self.claimed.keys()
            if not new:
                return
            # A worker whose account another one gets by its address now needs its own by the id.
            self.claimed |= {key: found[key] for key in new}

    def _login_of(self, worker: _WorkerRecord) -> str:
        """The login of the worker's account; "" where there is none and its own login is another worker's."""
        own = self._own(worker)
        stored = own.login if own and self._may_have(own.login_key, worker.employee) else ""
        if not worker.key:
            return stored
        if self._goes_by_id(worker) and stored and folded(stored) not in self.taken:
            # A second record of the worker with the same login is a duplicate, and not another account.
            if self._is_free(worker):
                self.taken[worker.key], self.replaced[worker.key] = worker.employee, stored
            return stored
        if self._is_free(worker):
            return self.replaced.get(worker.key, worker.login)
        return stored

    def _own(self, worker: _WorkerRecord) -> StoredWorker | None:
        """The stored account with the worker's employee id; of several the first, for a record that has no login."""
        accounts = self.stored.of_employee.get(worker.employee, ())
        if worker.source_key:
            accounts = [each for each in accounts if each.source_key in ("", worker.source_key)]
        return accounts[0] if accounts else None

    def _is_stored(self, worker: _WorkerRecord) -> bool:
        """Whether a stored account has the worker's login and employee id."""
        account = self.stored.of_login.get(worker.key)
        return account is not None and account.employee == worker.employee

    def _goes_by_id(self, worker: _WorkerRecord) -> bool:
        """Whether the employee id, and not the login, tells which stored account is the worker's."""
        own = self._own(worker)
        if own is None or self._is_stored(worker):
            return False
        if not worker.key:
            return True
        if self._has_several(worker) or (worker.source_key and own.source_key):
            return False
        others = self.written.get(own.login_key, set())
        if worker.employee in others:
            return False
        if self._named(worker):
            # Both the login and the employee id are of a stored account.
            return worker.has_address and not others
        # A user name that another record has is that record's; an address may have passed to another worker.
        return "@" in own.login_key or not others

    def _has_several(self, worker: _WorkerRecord) -> bool:
        accounts = self.stored.of_employee.get(worker.employee, ())
        return len(accounts) > 1 and accounts[0].is_deleted == accounts[1].is_deleted

    def _named(self, worker: _WorkerRecord) -> StoredWorker | None:
        """The stored account that has the worker's login. An account whose address has changed since has the former one as
        its login still, and that names it no longer."""
        account = self.stored.of_login.get(worker.key)
        if account is None or self._is_stored(worker) or not worker.has_address:
            return account
        addresses = ("", worker.key, worker.email_key)
        return account if account.email_key in addresses else None

    def _is_free(self, worker: _WorkerRecord) -> bool:
        """Whether the login of the record may be the worker's."""
        is_former = worker.key in self.stored.of_login and not self._named(worker)
        return bool(worker.key) and not is_former and self._may_have(worker.key, worker.employee)

    def _may_have(self, login_key: str, employee: str) -> bool:
        owners = (self.taken.get(login_key, employee), self.claimed.get(login_key, employee))
        return owners == (employee, employee)
