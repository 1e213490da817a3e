"""The engine: judges all users by all rules in one pass, then opens and resolves findings check by check.

See docs/architecture.md, "Checks and runs". Only this module writes raw SQL about findings; every
table and column name is ours, every value a parameter.
"""

# ruff: noqa: S608  the statements are put together from our own names; see above.

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Field, QuerySet

from checks import dialect
from checks.models import Check, Finding, Run, User
from checks.rules import Rule, verdict_words
from checks.verdicts import WORDS, Place, Tallies, Verdict, complement, mask, place

# The users whose words differ from the stored ones; lives as long as the connection.
CHANGED = "checks_changed_verdict"
# Larger than any table, and portable: keeps both databases from merging the inner SELECT into the
# outer one, which would judge every user twice.
_FENCE = 9_223_372_036_854_775_807
# How many users' words one transaction writes: on SQLite nobody else writes meanwhile.
WORDS_A_TRANSACTION = 100_000


def judge(rules: Sequence[Rule]) -> None:
    """The one pass: leaves in the temporary table the users of whom some verdict changed.

    Raises whatever a rule does wrong; :func:`rejected` tells which one.
    """
    select, parameters = _pass(rules)
    columns = "user_id, old_a, old_b, new_a, new_b"
    changed = f"SELECT {columns} FROM ({select}) AS judged WHERE new_a <> old_a OR new_b <> old_b"
    drop_changed()
    with _reading(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                f"CREATE TEMPORARY TABLE {CHANGED} (user_id INTEGER PRIMARY KEY,"
                " old_a INTEGER, old_b INTEGER, new_a INTEGER, new_b INTEGER)"
            )
            cursor.execute(f"INSERT INTO {CHANGED} {changed}", parameters)
        else:
            # CREATE … AS may read with parallel workers, INSERT … SELECT may not.
            cursor.execute(f"CREATE TEMPORARY TABLE {CHANGED} AS {changed}", parameters)
            cursor.execute(f"ANALYZE {CHANGED}")


@contextmanager
def session() -> Iterator[None]:
    """Around all that follows: the temporary table goes when it ends, and PostgreSQL compiles nothing.

    Its JIT takes the one pass for a costly query and spends seconds on compiling thirty rules that run
    in tenths.
    """
    postgres = connection.vendor == "postgresql"
    if postgres:
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")
    try:
        yield
    finally:
        # After an error inside a larger transaction PostgreSQL takes no more statements; its end clears up.
        if not connection.needs_rollback:
            drop_changed()
            if postgres:
                with connection.cursor() as cursor:
                    cursor.execute("RESET jit")


def drop_changed() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {CHANGED}")


def _pass(rules: Sequence[Rule]) -> tuple[str, tuple[Any, ...]]:
    judged = User.objects.order_by().values_list("pk", "verdict_a", "verdict_b", *verdict_words(rules))
    sql, parameters = judged.query.get_compiler(connection=connection).as_sql()
    named = f"WITH judged(user_id, old_a, old_b, new_a, new_b) AS ({sql} LIMIT {_FENCE} OFFSET 0)"
    return f"{named} SELECT * FROM judged", parameters


def _reading() -> AbstractContextManager[Any]:
    """PostgreSQL needs a savepoint to survive an error; on SQLite a transaction would lock out the writers."""
    return nullcontext() if connection.vendor == "sqlite" else transaction.atomic()


def rejected(rules: Sequence[Rule]) -> dict[str, Exception]:
    """Tries the rules one by one; slug → error of those that cannot be judged."""
    errors: dict[str, Exception] = {}
    for rule in rules:
        try:
            sql, parameters = _pass([rule])
            with _reading(), connection.cursor() as cursor:
                cursor.execute(f"SELECT MAX(new_a), MAX(new_b) FROM ({sql}) AS judged", parameters)
                cursor.fetchone()
        except Exception as error:  # noqa: BLE001  whatever a rule does wrong, the others go on
            errors[rule.check.slug] = error
    return errors


def count() -> tuple[Tallies, int]:
    """The counts of all verdicts after :func:`judge`, and the number of users in the population."""
    tallies, population = Tallies(), 0
    stored = "SELECT protected, verdict_a, verdict_b, COUNT(*) FROM checks_user GROUP BY 1, 2, 3"
    for protected, a, b, users in _rows(stored):
        tallies.stored.add((a, b), users)
        population += users if protected else 0
    changed = f"SELECT old_a, old_b, new_a, new_b, COUNT(*) FROM {CHANGED} GROUP BY 1, 2, 3, 4"
    for old_a, old_b, new_a, new_b, users in _rows(changed):
        tallies.add_change((old_a, old_b), (new_a, new_b), users)
    return tallies, population


def _rows(sql: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(10_000):
            yield from rows


def open_findings(rule: Rule, run: Run) -> int:
    """A finding for each user who began to fail; how many were really new.

    A user with an open finding is left alone: a run that died after its findings has opened it, and
    notified of it. Users who are gone since the pass are skipped.
    """
    name, at = WORDS[rule.place.word], rule.place
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO checks_finding (check_id, user_id, opened_at, opened_run_id, resolution)
            SELECT %s, checks_user.id, %s, %s, ''
            FROM {CHANGED} AS c JOIN checks_user ON checks_user.id = c.user_id
            WHERE (c.new_{name} & %s) = %s AND (c.old_{name} & %s) <> %s
            ORDER BY checks_user.id
            ON CONFLICT DO NOTHING
            """,
            [rule.check.pk, _db("opened_at", run.started_at), _db("opened_run", run.pk)]
            + [at.mask, at.bits(Verdict.FAILS)] * 2,
        )
        return cursor.rowcount


def resolve_findings(rule: Rule, run: Run) -> int:
    """Resolves the findings of the users who no longer fail, with the reason; how many."""
    name, at = WORDS[rule.place.word], rule.place
    reasons = {Verdict.PASSES: "cured", Verdict.UNKNOWN: "unknown"}
    cases = " ".join(f"WHEN %s THEN '{reason}'" for reason in reasons.values())
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE checks_finding
            SET resolved_at = %s, resolved_run_id = %s,
                resolution = CASE (c.new_{name} & %s) {cases} ELSE 'out_of_scope' END
            FROM {CHANGED} AS c
            WHERE checks_finding.check_id = %s AND checks_finding.resolved_at IS NULL
                AND checks_finding.user_id = c.user_id
                AND (c.old_{name} & %s) = %s AND (c.new_{name} & %s) <> %s
            """,
            [_db("resolved_at", run.started_at), _db("resolved_run", run.pk), at.mask]
            + [at.bits(verdict) for verdict in reasons]
            + [rule.check.pk]
            + [at.mask, at.bits(Verdict.FAILS)] * 2,
        )
        return cursor.rowcount


def store_words(rules: Sequence[Rule]) -> None:
    """Writes the changed bits of these rules' checks to the users, some users a transaction.

    May be cut off anywhere: :func:`repair` makes good for it.
    """
    masks = [mask((rule.place for rule in rules), index) for index in range(len(WORDS))]
    assignments = ", ".join(
        f"verdict_{name} = (checks_user.verdict_{name} & %s) | (c.new_{name} & %s)" for name in WORDS
    )
    values = [bits for each in masks for bits in (complement(each), each)]
    for first, last in _ranges():
        with transaction.atomic(), connection.cursor() as cursor:
            # An import updates users in an order of its own: without this the two could wait for each other.
            dialect.lock_accounts(cursor)
            cursor.execute(
                f"UPDATE checks_user SET {assignments} FROM {CHANGED} AS c"
                " WHERE checks_user.id = c.user_id AND c.user_id BETWEEN %s AND %s",
                [*values, first, last],
            )


def _ranges() -> Iterator[tuple[int, int]]:
    """Ranges of user ids that hold at most so many changed users each."""
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT MIN(user_id), MAX(user_id) FROM"
                f" (SELECT user_id FROM {CHANGED} WHERE user_id > %s ORDER BY user_id LIMIT %s) AS part",
                [last, WORDS_A_TRANSACTION],
            )
            first, last = cursor.fetchone()
        if first is None:
            return
        yield first, last


def repair(run: Run) -> None:
    """Brings the words in step with the findings of a run that ended before it had stored them.

    The findings are the truth: whom that run found failing gets the bits of a failing user, whom it
    found cured those of one who passes; the next pass judges both anew.
    """
    for check in Check.objects.filter(results__run=run):
        at = place(check.slot)
        opened = Finding.objects.filter(check_ref=check, opened_run=run, resolved_at__isnull=True)
        resolved = Finding.objects.filter(check_ref=check, resolved_run=run, resolved_at__isnull=False)
        with transaction.atomic(), connection.cursor() as cursor:
            dialect.lock_accounts(cursor)
            _set_bits(resolved, at, Verdict.PASSES)
            _set_bits(opened, at, Verdict.FAILS)
    Run.objects.filter(pk=run.pk).update(settled=True)
    run.settled = True


def _set_bits(findings: QuerySet[Finding], at: Place, verdict: Verdict) -> None:
    column = f"verdict_{WORDS[at.word]}"
    users = User.objects.filter(pk__in=findings.values("user_id"))
    users.update(**{column: F(column).bitand(complement(at.mask)) + at.bits(verdict)})


def _db(field: str, value: Any) -> Any:
    column: Field[Any, Any] = getattr(Finding, field).field
    return column.get_db_prep_value(value, connection)
