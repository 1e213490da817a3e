"""The logins of an HR system's records, which name workers by an address: leavers lose it, rehires share it.

A record without a login, or with the one of another worker, takes the login of the stored account with its employee id,
else the employee id itself. So the account of a worker stays the same while the address comes and goes.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from checks.models import Source
from checks.services import StoredWorkers, employee_key_of, folded, stored_workers, worker_login_of
from integrations.services import Read

# Records that are looked up together.
LOOKED_UP = 500


def with_worker_logins(records: Iterable[Read], source: Source) -> Iterator[Read]:
    """The records by field; those of workers have a login of their own."""
    remaining, logins = iter(records), _WorkerLogins()
    while batch := list(islice(remaining, LOOKED_UP)):
        logins.look_up(source, [record for _, record in batch if isinstance(record, dict)])
        for line, record in batch:
            if isinstance(record, dict):
                logins.choose(record)
            yield line, record


class _WorkerLogins:
    """``taken``: login key → employee key of the first record that has it."""

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}
        self.stored, self.batch = StoredWorkers(), frozenset[str]()

    def look_up(self, source: Source, records: list[dict[str, object]]) -> None:
        self.batch = frozenset(filter(None, map(employee_key_of, records)))
        self.stored = stored_workers(source, self.batch, {folded(worker_login_of(each)) for each in records})

    def choose(self, record: dict[str, object]) -> None:
        """Set the record's login, where another one than that of its column is needed."""
        login, employee = worker_login_of(record), employee_key_of(record)
        if "email" not in record and "@" in login:
            record["email"] = login
        if employee and self._needs_own(folded(login), employee):
            own = self.stored.logins.get(employee, "")
            is_free = own and self.taken.get(folded(own), employee) == employee
            login = own if is_free else str(record["employee_id"]).strip()
            record["login"] = login
        if login:
            self.taken.setdefault(folded(login), employee)

    def _needs_own(self, login: str, employee: str) -> bool:
        own = folded(self.stored.logins.get(employee, ""))
        if not login or self.taken.get(login, employee) != employee:
            return True
        if own == employee:
            # It took the employee id before: its account stays the same. A second record has its own address.
            return own not in self.taken
        # The address of a worker who is listed further down, and who had it first.
        stored = self.stored.employees.get(login, "")
        return not own and stored != employee and stored in self.batch
