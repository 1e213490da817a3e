"""Model instances from ``values_list`` rows, and findings read with them.

``Model.__init__`` costs several times what reading the row does: planning 4,000 messages spent 2.5 s on it, and spends
0.9 s so (docs/benchmarks.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, models
from django.db.models import QuerySet
from django.db.models.base import ModelState

from checks.models import Finding, User

M = TypeVar("M", bound=models.Model)

# The fields of a user that the catalogue's explanations read. Any other field costs a query per user; a test
# finds it.
EXPLAINED_USER_FIELDS = (
    "id", "name", "manager_id", "created_at", "department", "employee_id", "failed_sign_ins", "hr_department_differs",
    "hr_manager_differs", "hr_title_differs", "last_sign_in_at", "last_sign_in_country", "password_changed_at",
    "shared_with", "stuck_since", "terminated_since", "title", "user_type",
)  # fmt: skip
_FINDING_FIELDS = ("id", "user_id", "resolution")
_USER_FIELDS = (*EXPLAINED_USER_FIELDS, "email", "display_name", "locale")
_MANAGER_FIELDS = ("id", "name", "email", "display_name", "locale")


def model_from_row(model: type[M], names: Sequence[str], values: Iterable[object]) -> M:
    """The saved row whose fields ``names`` hold ``values``. ``names``: as ``values_list`` takes them, foreign keys as
    ``…_id``. The other fields are deferred, as after ``only()``."""
    made = model.__new__(model)
    state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    made.__dict__.update(zip(names, values, strict=True), _state=state)
    return made


def set_related(instance: models.Model, name: str, related: models.Model | None) -> None:
    """Set ``instance.name`` without the checks of an assignment."""
    instance._state.fields_cache[name] = related


def findings_in_chunks(
    findings: QuerySet[Finding], *, size: int, with_managers: bool = False
) -> Iterator[list[Finding]]:
    """The findings by id with their users (and these users' managers), at most ``size`` at a time; one statement."""
    rows = findings_with_users(findings.order_by("id"), size=size, with_managers=with_managers)
    while chunk := list(islice(rows, size)):
        yield chunk


def findings_with_users(
    findings: QuerySet[Finding], *, size: int, with_managers: bool = False, others: Sequence[str] = ()
) -> Iterator[Finding]:
    """The findings in their order with their users (and these users' managers); ``size`` are fetched at a time.

    Users have the fields that explanations and messages read. ``others``: further fields and annotations of the findings.
    """
    names = (*_FINDING_FIELDS, *others)
    columns = [*names, *(f"user__{name}" for name in _USER_FIELDS)]
    if with_managers:
        columns += [f"user__manager__{name}" for name in _MANAGER_FIELDS]
    for values in findings.values_list(*columns).iterator(size):
        yield _finding(names, values)


def _finding(names: Sequence[str], values: Sequence[object]) -> Finding:
    user_at, manager_at = len(names), len(names) + len(_USER_FIELDS)
    finding = model_from_row(Finding, names, values[:user_at])
    user = model_from_row(User, _USER_FIELDS, values[user_at:manager_at])
    set_related(finding, "user", user)
    if manager := values[manager_at:]:
        set_related(user, "manager", model_from_row(User, _MANAGER_FIELDS, manager) if manager[0] else None)
    return finding
