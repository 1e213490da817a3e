"""Read the stored values of accounts again by the present rules.

Values that an earlier version misread are stored as they were read: a factor called ``none``, a sign-in of 1970, a
manager called ``n/a``. This applies the present rules to what is stored, joins the accounts by them, and says what changed. What a source
wrote and an earlier version did not store (an unknown status, for example) comes back with the next import only.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import connection, transaction
from django.utils import timezone

from checks import dialect
from checks.importing.coverage import derive_again, stored_fields
from checks.importing.mappings import rules_of
from checks.importing.records import RecordParser, derive
from checks.importing.references import resolve_distinguished_names, resolve_padded_numbers
from checks.importing.rejoining import rejoin
from checks.models import Account, Source

BATCH = 1_000
# Values stored by a rule that needs the source's words are not changed.
_KEPT = frozenset(("login", "source_key", "source_anchor", "locale", "status", "user_type"))
# Derived columns that decide what a check finds or who is one user.
_COMPARED = (
    *("mfa", "assurance", "phishing_resistant", "is_admin"),
    *("key_anchor", "email_key", "employee_key", "name_key", "manager_key", "owner_key"),
)


@dataclass(frozen=True, slots=True)
class Reread:
    """The changes made by reading the stored values of one source again. ``fields``: field → accounts; ``moved``: accounts
    of any source that belong to another user by the present rules."""

    source: str
    accounts: int
    changed: int
    moved: int
    fields: dict[str, int] = field(default_factory=dict)


def reread_accounts(
    source: Source, *, dry_run: bool = False, progress: Callable[[int], None] = lambda _: None
) -> Reread:
    """Read the stored accounts of a source again, and join them; ``dry_run``: nothing stays changed. One transaction a
    source.

    The accounts that change are known to no later import: it reads their records whole.
    """
    parser = RecordParser(rules_of(source), datetime.now(UTC))
    counted: Counter[str] = Counter()
    changed: list[int] = []
    users: set[int] = set()
    read = 0
    with transaction.atomic(), connection.cursor() as cursor:
        dialect.lock_accounts(cursor)
        for account in _accounts(source):
            read += 1
            if account.user_id:
                users.add(account.user_id)
            differing = _differing(account, parser)
            if names := [*differing, *_differing_derived(account, differing)]:
                counted.update(names)
                changed.append(account.pk)
                if differing:
                    Account.objects.filter(pk=account.pk).update(**differing, fingerprint=b"")
            if read % BATCH == 0:
                progress(read)
        derive_again(changed)
        resolve_distinguished_names(source)
        resolve_padded_numbers(cursor, source)
        # Of all accounts: unchanged ones may have been joined, and their users' facts derived, by older rules.
        select = "SELECT id FROM checks_account WHERE source_id = %s"
        moved = rejoin(cursor, select, [source.pk], timezone.now(), touched=users)
        if dry_run:
            transaction.set_rollback(True)
    return Reread(source.slug, read, len(changed), moved, dict(counted.most_common()))


def _differing_derived(account: Account, differing: dict[str, object]) -> list[str]:
    """The columns that follow from the fields and that the present rules derive otherwise."""
    found = stored_fields(account) | {
        name: value for name, value in differing.items() if not isinstance(value, datetime)
    }
    derive(found)
    return [name for name in _COMPARED if found[name] != getattr(account, name)]


def _accounts(source: Source) -> Iterator[Account]:
    """The accounts of a source, read in batches, so that they can be written while they are read."""
    last = 0
    while batch := list(Account.objects.filter(source=source, pk__gt=last).order_by("pk")[:BATCH]):
        yield from batch
        last = batch[-1].pk


def _differing(account: Account, parser: RecordParser) -> dict[str, object]:
    """Field → value, for the stored fields that the present rules read otherwise."""
    stored = stored_fields(account)
    if not account.last_sign_in_known:
        stored.pop("last_sign_in_at")
    raw = {name: value for name, value in stored.items() if name not in _KEPT and value not in (None, "")}
    if factors := raw.get("mfa_factors"):
        # A kind may hold several methods that were not split.
        raw["mfa_factors"] = [each["kind"] if list(each) == ["kind"] else each for each in factors]
    found = parser.read_fields({"login": account.login, **raw})
    differing = {}
    for name in raw:
        value, before = found.get(name, raw[name]), getattr(account, name)
        if name in ("last_sign_in_at", "created_at", "status_changed_at", "password_changed_at"):
            value = datetime.fromisoformat(value).replace(tzinfo=UTC) if value else None
        if value != before:
            differing[name] = value
    if "last_sign_in_at" in differing:
        differing["last_sign_in_known"] = found["last_sign_in_at"] is not None
    return differing
