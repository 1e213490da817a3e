"""Evaluate all users by all checks in one pass, and find what that changes in the findings.

The open findings are the only state: a run that dies leaves nothing to repair. See docs/architecture.md, "Checks and
runs". The SQL is in statements.py.
"""

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from checks import dialect, freshness
from checks.engine import statements
from checks.engine.outcomes import CHECKS_PER_WORD, Change, Outcome, Place, Tally, tally
from checks.engine.rules import Rule, outcome
from checks.engine.unknown_causes import UnknownCause, find_causes
from checks.models import Finding, Run, User

# Checks in one statement: a column each, of which PostgreSQL takes 1,600 and SQLite 2,000.
CHECKS_PER_PASS = 20 * CHECKS_PER_WORD


@dataclass(frozen=True, slots=True)
class CheckCounts:
    """The result of the pass for one check, as numbers of users.

    ``failing``: those with an open finding once the changes are made. ``suspends``: those of ``resolves`` whose finding
    is resolved as unknown. ``causes``: why users are unknown or stale.
    """

    evaluated: int
    failing: int
    unknown: int
    stale: int
    opens: int
    reopens: int
    resolves: int
    suspends: int
    settles: int
    causes: Sequence[UnknownCause] = ()

    @property
    def has_changes(self) -> bool:
        return bool(self.opens or self.reopens or self.resolves or self.settles)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """``users``: the protected population; ``counts``: by slug."""

    users: int
    counts: Mapping[str, CheckCounts]


def evaluate(rules: Sequence[Rule], now: datetime) -> Evaluation:
    """Evaluate all users by these rules; returns the counts and leaves the changes in ``checks_change``.

    Raises the database's error for a rule that cannot be evaluated; :func:`errors_by_rule` finds which.
    """
    drop_tables()
    counts: dict[str, CheckCounts] = {}
    users: int | None = None
    with reading(), connection.cursor() as cursor:
        cursor.execute(statements.CREATE_CHANGES)
        any_stale = freshness.fill_stale(cursor, now)
        for first in range(0, len(rules), CHECKS_PER_PASS):
            part = _placed(rules[first : first + CHECKS_PER_PASS])
            users = _fill_outcomes(cursor, part, any_stale=any_stale)
            counts |= _with_causes(cursor, part, _compare(cursor, part), now)
        dialect.index(cursor, statements.CHANGE_TABLE, "check_id", "user_id")
    if users is None:
        users = User.objects.filter(protected=True).count()
    return Evaluation(users, counts)


def errors_by_rule(rules: Sequence[Rule]) -> dict[str, Exception]:
    """Evaluate the rules one by one; slug → error of those that cannot be evaluated."""
    errors: dict[str, Exception] = {}
    for rule in rules:
        try:
            with reading(), connection.cursor() as cursor:
                _fill_outcomes(cursor, _placed([rule]), any_stale=False)
        except Exception as error:  # noqa: BLE001  an error in one rule must not stop the other checks
            errors[rule.check.slug] = error
    return errors


PlacedRules = Sequence[tuple[Rule, Place]]


def _placed(rules: Sequence[Rule]) -> PlacedRules:
    return [(rule, Place.of(index)) for index, rule in enumerate(rules)]


def _fill_outcomes(cursor: CursorWrapper, rules: PlacedRules, *, any_stale: bool) -> int:
    """Fill ``checks_outcome``; returns the number of users. The inner select has a column for each check, so nothing is nested deeper with more checks.

    A user outside the protected population is in the scope of no check and gets no row.
    """
    columns = [outcome(rule, place.shift) for rule, place in rules]
    users = User.objects.filter(protected=True).order_by().values_list("pk", *columns)
    select, parameters = users.query.get_compiler(connection=connection).as_sql()
    reads = [(place, rule.reads) for rule, place in rules]
    return dialect.create_filled(
        cursor,
        statements.OUTCOME_TABLE,
        statements.outcome_columns(words=1 + rules[-1][1].word),
        statements.select_outcomes(select, reads, any_stale=any_stale),
        parameters,
    )


def _compare(cursor: CursorWrapper, rules: PlacedRules) -> dict[str, CheckCounts]:
    """Put into ``checks_change`` what differs between outcomes and findings; the counts by slug.

    A check whose failing users have the same fingerprint as the users with an open finding is not compared further: on
    most days these are most checks.
    """
    places = [(rule.check.pk, place) for rule, place in rules]
    # Another seed each time: should two different sets ever have one fingerprint, the next run sees the difference.
    seed = secrets.randbits(63)
    tallies = _count_outcomes(cursor, places, seed)
    outcomes = {check: each.by_outcome for check, each in tallies.items()}
    open_findings, with_finding = _count_open_findings(cursor, seed)
    differing = [
        (check, place)
        for check, place in places
        if not _same(tallies[check].failing, with_finding.get(check, 0))
    ]
    if differing and open_findings:
        cursor.execute(statements.compare_open_findings(differing))
    if _count(cursor, statements.COUNT_SUSPENDED_FINDINGS):
        cursor.execute(statements.compare_suspended_findings(places))
    stale = _count_stale_with_finding(
        cursor, [(check, place) for check, place in differing if outcomes[check][Outcome.STALE]]
    )
    changes = _count_changes(cursor)

    def has_new_failures(check: int) -> bool:
        """Whether more users fail than have an open finding or one to reopen."""
        kept = open_findings[check] - stale[check] - changes[check, Change.RESOLVE]
        return outcomes[check][Outcome.FAIL] > kept + changes[check, Change.REOPEN]

    _find_new_failures(cursor, [(check, place) for check, place in places if has_new_failures(check)])
    changes = _count_changes(cursor)
    suspensions = _count(cursor, statements.COUNT_SUSPENSIONS)
    return {
        rule.check.slug: CheckCounts(
            evaluated=sum(outcomes[rule.check.pk][Outcome.PASS :]),
            failing=outcomes[rule.check.pk][Outcome.FAIL] + stale[rule.check.pk],
            unknown=outcomes[rule.check.pk][Outcome.UNKNOWN],
            stale=outcomes[rule.check.pk][Outcome.STALE],
            opens=changes[rule.check.pk, Change.OPEN],
            reopens=changes[rule.check.pk, Change.REOPEN],
            resolves=changes[rule.check.pk, Change.RESOLVE],
            suspends=suspensions[rule.check.pk],
            settles=changes[rule.check.pk, Change.SETTLE],
        )
        for rule, _ in rules
    }


def _with_causes(
    cursor: CursorWrapper, rules: PlacedRules, counts: dict[str, CheckCounts], now: datetime
) -> dict[str, CheckCounts]:
    """The counts with the causes of unknown and stale users."""
    unknown = {slug: each.unknown for slug, each in counts.items()}
    stale = {slug: each.stale for slug, each in counts.items()}
    if not any(unknown.values()) and not any(stale.values()):
        return counts
    causes = find_causes(cursor, rules, unknown, stale, now)
    return {slug: replace(each, causes=causes[slug]) for slug, each in counts.items()}


def _count_outcomes(cursor: CursorWrapper, places: statements.Placed, seed: int) -> dict[int, Tally]:
    """check → its users by outcome."""
    tallies: dict[int, Tally] = {}
    words = range(1 + places[-1][1].word)
    # Two words by one scan: the outcomes of a user depend on each other, so there are few pairs.
    for pair in (words[first : first + 2] for first in words[::2]):
        cursor.execute(statements.count_outcomes(pair, seed))
        rows = list(_rows(cursor))
        for position, word in enumerate(pair):
            of_word = [check for check, place in places if place.word == word]
            found = tally((row[position], *row[-2:]) for row in rows)
            tallies |= dict(zip(of_word, found, strict=False))
    return tallies


def _count_open_findings(cursor: CursorWrapper, seed: int) -> tuple[Counter[int], dict[int, int | None]]:
    """check → users with an open finding; check → their fingerprint."""
    cursor.execute(statements.count_open_findings(seed))
    rows = list(_rows(cursor))
    return Counter({check: users for check, users, _ in rows}), {check: found for check, _, found in rows}


def _same(failing: int | None, with_finding: int | None) -> bool:
    """Whether two fingerprints say that the same users fail as have an open finding."""
    return failing is not None and failing == with_finding


def _count_stale_with_finding(cursor: CursorWrapper, places: statements.Placed) -> Counter[int]:
    """check → users whose finding stays open because their values are too old to resolve it."""
    found: Counter[int] = Counter()
    for check, place in places:
        cursor.execute(statements.count_stale_with_finding(place), [check])
        (found[check],) = cursor.fetchone()
    return found


def _find_new_failures(cursor: CursorWrapper, places: statements.Placed) -> None:
    for word in sorted({place.word for _, place in places}):
        of_word = [(check, place) for check, place in places if place.word == word]
        cursor.execute(statements.find_new_failures(word, of_word))


def _count(cursor: CursorWrapper, statement: str) -> Counter[int]:
    """check → number, as the statement selects them."""
    cursor.execute(statement)
    return Counter(dict(_rows(cursor)))


def _count_changes(cursor: CursorWrapper) -> Counter[tuple[int, int]]:
    """check, change → users."""
    cursor.execute(statements.COUNT_CHANGES)
    return Counter({(check, change): users for check, change, users in _rows(cursor)})


def _rows(cursor: CursorWrapper) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(10_000):
        yield from rows


@contextmanager
def session() -> Iterator[None]:
    """Wrap all that reads the temporary tables: they are dropped at the end."""
    with connection.cursor() as cursor:
        dialect.set_for_pass(cursor)
    try:
        yield
    finally:
        # After an error inside a larger transaction PostgreSQL accepts no more statements; its end drops the tables.
        if not connection.needs_rollback:
            drop_tables()
            with connection.cursor() as cursor:
                dialect.reset_after_pass(cursor)


def drop_tables() -> None:
    with connection.cursor() as cursor:
        for table in (
            statements.OUTCOME_TABLE,
            statements.CHANGE_TABLE,
            statements.GATHERED_TABLE,
            statements.UNKNOWN_TABLE,
            freshness.STALE_TABLE,
        ):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


def reading() -> AbstractContextManager[object]:
    """PostgreSQL needs a savepoint to survive an error. On SQLite a transaction would lock out the writers."""
    return transaction.atomic() if dialect.is_postgres() else nullcontext()


# --- The findings: each inside the caller's transaction ---------------------------------------------


def open_findings(rule: Rule, run: Run) -> int:
    """Open a finding for each user who newly fails; returns how many.

    At the end of the transaction ``IntegrityError`` says that a user was deleted since; see
    :func:`forget_deleted_users`.
    """
    return _execute(statements.OPEN_FINDINGS, [*_moment_and_run(run), rule.check.pk])


def reopen_findings(rule: Rule) -> int:
    """Reopen findings that were resolved as unknown, as if they had stayed open; returns how many."""
    return _execute(statements.REOPEN_FINDINGS, [rule.check.pk, rule.check.pk])


def resolve_findings(rule: Rule, run: Run) -> int:
    """Resolve the findings of the users who no longer fail, with the reason; returns how many."""
    return _execute(statements.RESOLVE_FINDINGS, [*_moment_and_run(run), rule.check.pk, rule.check.pk])


def settle_findings(rule: Rule) -> int:
    """Give findings that were resolved as unknown the reason that is known now; returns how many."""
    return _execute(statements.SETTLE_FINDINGS, [rule.check.pk, rule.check.pk])


def forget_deleted_users() -> None:
    """Remove from the changes the users who were deleted since the pass."""
    _execute(statements.FORGET_DELETED_USERS, [])


def _execute(sql: str, parameters: Sequence[dialect.SqlValue]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def _moment_and_run(run: Run) -> list[dialect.SqlValue]:
    """When and by which run a finding is opened or resolved, as the database stores them."""
    time = Finding._meta.get_field("opened_at")
    reference = Finding._meta.get_field("opened_run")
    return [
        time.get_db_prep_value(run.started_at, connection),
        reference.get_db_prep_value(run.pk, connection),
    ]
