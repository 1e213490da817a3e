"""The engine: judges all users by all rules in one pass, then opens and resolves findings check by check.

See docs/architecture.md, "Checks and runs". Only this module writes raw SQL about findings; every
table and column name is ours, every value a parameter.
"""

# ruff: noqa: S608  the statements are put together from our own names; see above.

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Field, QuerySet

from checks import dialect
from checks.catalogue import CATALOGUE
from checks.models import Check, Finding, Run, User
from checks.rules import Rule, place_of, verdict_words
from checks.verdicts import LOW_BITS, WORDS, Codes, Place, Tallies, Tally, Verdict, complement, mask

# Both live as long as the connection. The users whose words differ from the stored ones; and of these, by
# check, those who began or ceased to fail.
CHANGED = "checks_changed_verdict"
TURNED = "checks_turned"
# How many users' words one transaction writes: on SQLite nobody else writes meanwhile.
WORDS_A_TRANSACTION = 100_000
# From so many users follows what is ordinary.
SAMPLE = 1_000
_EVERYBODY = 9_223_372_036_854_775_807


@dataclass(frozen=True, slots=True)
class Survey:
    """The users when a run begins: the last id, how many they are, how many of them are protected, and the
    counts of their stored words where these are known: slot → users with the bits 1, 2, 3."""

    last: int
    users: int
    protected: int
    codes: Codes | None

    def counted(self, tallies: Tallies, written: Sequence[Rule]) -> dict[str, Any]:
        """For the next run's :func:`survey`, once the words of these rules are stored."""
        codes = tallies.after({rule.place.slot for rule in written})
        return {"last": self.last, "users": self.users, "codes": codes}


def survey(before: Mapping[str, Any]) -> Survey:
    """``before``: what the last run counted, or empty.

    Only runs write words, and who is new holds zeros: so these counts hold yet, unless a user is gone since.
    The ids of users only grow, so one is gone if there are fewer now up to the id that was the last then.
    """
    newest = before.get("last", 0)
    [(last, users, newer, unprotected)] = _rows(
        "SELECT (SELECT COALESCE(MAX(id), 0) FROM checks_user), (SELECT COUNT(*) FROM checks_user),"
        f" (SELECT COUNT(*) FROM checks_user WHERE id > {newest:d}),"
        # These are few and have an index.
        " (SELECT COUNT(*) FROM checks_user WHERE NOT protected)"
    )
    known = bool(before) and users - newer == before["users"]
    codes = {int(slot): counts for slot, counts in before["codes"].items()} if known else None
    return Survey(last, users, users - unprotected, codes)


def with_ordinary(rules: Sequence[Rule]) -> list[Rule]:
    """The rules that were never judged get as ordinary what most of some users get, failing aside."""
    new = [rule for rule in rules if rule.check.ordinary is None]
    if not new:
        return list(rules)
    with _reading():
        words = list(User.objects.order_by("pk").values_list(*verdict_words(new))[:SAMPLE])
    tally = Tally()
    for sampled in words:
        tally.add(sampled, 1)
    seen, codes = len(words), tally.codes()
    chosen = {rule.check.pk: _most(codes.get(rule.place.slot, [0, 0, 0]), seen) for rule in new}
    return [
        replace(rule, place=replace(rule.place, ordinary=chosen.get(rule.check.pk, rule.place.ordinary)))
        for rule in rules
    ]


def _most(counts: Sequence[int], users: int) -> Verdict:
    passes, fails, unknown = counts
    outside = users - passes - fails - unknown
    found = {Verdict.OUT_OF_SCOPE: outside, Verdict.PASSES: passes, Verdict.UNKNOWN: unknown}
    return max(found, key=lambda verdict: found[verdict])


def judge(rules: Sequence[Rule], last: int) -> None:
    """The one pass: leaves in temporary tables the users of whom some verdict changed, and what turned.

    ``last``: the id up to which users are judged; who is imported meanwhile has his turn in the next run.
    Raises whatever a rule does wrong; :func:`rejected` tells which one.
    """
    drop_tables()
    with _reading(), connection.cursor() as cursor:
        select, parameters = _pass(rules, last)
        changed = f"SELECT * FROM ({select}) AS judged WHERE new_a <> old_a OR new_b <> old_b"
        if connection.vendor == "sqlite":
            cursor.execute(
                f"CREATE TEMPORARY TABLE {CHANGED} (user_id INTEGER PRIMARY KEY,"
                " old_a INTEGER, old_b INTEGER, new_a INTEGER, new_b INTEGER)"
            )
            cursor.execute(f"INSERT INTO {CHANGED} {changed}", parameters)
        else:
            cursor.execute(f"CREATE TEMPORARY TABLE {CHANGED} AS {changed}", parameters)
            dialect.analyze(cursor, CHANGED)
        _turn(cursor, rules)


def _turn(cursor: Any, rules: Sequence[Rule]) -> None:
    """Once for all checks: who began or ceased to fail, so that each check reads its own users only."""
    definition = "(slot integer, user_id bigint, code integer"
    if connection.vendor == "sqlite":
        cursor.execute(
            f"CREATE TEMPORARY TABLE {TURNED} {definition}, PRIMARY KEY (slot, user_id)) WITHOUT ROWID"
        )
    else:
        cursor.execute(f"CREATE TEMPORARY TABLE {TURNED} {definition})")
    for index, name in enumerate(WORDS):
        places = [rule.place for rule in rules if rule.place.word == index]
        if not places:
            continue
        slots = " UNION ALL ".join(f"SELECT {at.slot} AS slot, {at.shift} AS shift" for at in places)
        old, new = f"((c.old_{name} >> s.shift) & 3)", f"((c.new_{name} >> s.shift) & 3)"
        # Most users who changed began or ceased to fail nothing: one comparison of all slots leaves them out.
        cursor.execute(
            f"INSERT INTO {TURNED} SELECT s.slot, c.user_id, {new} FROM {CHANGED} AS c CROSS JOIN ({slots}) AS s"
            f" WHERE {_failing(f'c.old_{name}')} <> {_failing(f'c.new_{name}')}"
            f" AND ({old} = {Verdict.FAILS:d}) <> ({new} = {Verdict.FAILS:d})"
        )
    if connection.vendor == "postgresql":
        cursor.execute(f"CREATE INDEX ON {TURNED} (slot)")
        dialect.analyze(cursor, TURNED)


def _failing(word: str) -> str:
    """SQL: a 1 at each slot that holds FAILS."""
    return f"(({word} >> 1) & ~{word} & {LOW_BITS})"


@contextmanager
def session() -> Iterator[None]:
    """Around all that follows: the temporary tables go when it ends, and PostgreSQL compiles nothing.

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
            drop_tables()
            if postgres:
                with connection.cursor() as cursor:
                    cursor.execute("RESET jit")


def drop_tables() -> None:
    with connection.cursor() as cursor:
        for table in (CHANGED, TURNED):
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


def _pass(rules: Sequence[Rule], last: int) -> tuple[str, tuple[Any, ...]]:
    judged = (
        User.objects.filter(pk__lte=last)
        .order_by()
        .values_list("pk", "verdict_a", "verdict_b", *verdict_words(rules))
    )
    sql, parameters = judged.query.get_compiler(connection=connection).as_sql()
    # Keeps both databases from merging this SELECT into the outer one, which would judge every user twice.
    fence = "LIMIT -1 OFFSET 0" if connection.vendor == "sqlite" else "OFFSET 0"
    named = f"WITH judged(user_id, old_a, old_b, new_a, new_b) AS ({sql} {fence})"
    return f"{named} SELECT * FROM judged", parameters


def _reading() -> AbstractContextManager[Any]:
    """PostgreSQL needs a savepoint to survive an error; on SQLite a transaction would lock out the writers."""
    return nullcontext() if connection.vendor == "sqlite" else transaction.atomic()


def rejected(rules: Sequence[Rule]) -> dict[str, Exception]:
    """Tries the rules one by one; slug → error of those that cannot be judged."""
    errors: dict[str, Exception] = {}
    for rule in rules:
        try:
            sql, parameters = _pass([rule], _EVERYBODY)
            with _reading(), connection.cursor() as cursor:
                cursor.execute(f"SELECT MAX(new_a), MAX(new_b) FROM ({sql}) AS judged", parameters)
                cursor.fetchone()
        except Exception as error:  # noqa: BLE001  whatever a rule does wrong, the others go on
            errors[rule.check.slug] = error
    return errors


def count(surveyed: Survey) -> Tallies:
    """The counts of all verdicts, after :func:`judge`."""
    change = Tally()
    for old_a, old_b, new_a, new_b, users in _rows(
        f"SELECT old_a, old_b, new_a, new_b, COUNT(*) FROM {CHANGED} GROUP BY 1, 2, 3, 4"
    ):
        change.add((old_a, old_b), -users)
        change.add((new_a, new_b), users)
    began: dict[int, int] = {}
    ended: dict[int, int] = {}
    fails = f"code = {Verdict.FAILS:d}"
    for slot, failing, users in _rows(f"SELECT slot, {fails}, COUNT(*) FROM {TURNED} GROUP BY 1, 2"):
        (began if failing else ended)[slot] = users
    stored = _stored(surveyed.last) if surveyed.codes is None else surveyed.codes
    return Tallies(surveyed.users, stored, change.codes(), began, ended)


def _stored(last: int) -> Codes:
    tally = Tally()
    for a, b, users in _rows(
        f"SELECT verdict_a, verdict_b, COUNT(*) FROM checks_user WHERE id <= {last:d} GROUP BY 1, 2"
    ):
        tally.add((a, b), users)
    return tally.codes()


def _rows(sql: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(10_000):
            yield from rows


def open_findings(rule: Rule, run: Run) -> int:
    """A finding for each user who began to fail; how many were really new.

    A user with an open finding is left alone: a run that died after its findings has opened it, and
    notified of it. ``IntegrityError`` at the end of the transaction: some user is gone, see :func:`forget_gone`.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO checks_finding (check_id, user_id, opened_at, opened_run_id, resolution)
            SELECT %s, user_id, %s, %s, '' FROM {TURNED} WHERE slot = %s AND code = %s
            ON CONFLICT DO NOTHING
            """,
            [
                rule.check.pk,
                _db("opened_at", run.started_at),
                _db("opened_run", run.pk),
                rule.place.slot,
                Verdict.FAILS,
            ],
        )
        return cursor.rowcount


def forget_gone() -> None:
    """Leave out the users who were deleted since the pass."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TURNED} WHERE user_id NOT IN (SELECT id FROM checks_user)")


def resolve_findings(rule: Rule, run: Run) -> int:
    """Resolves the findings of the users who no longer fail, with the reason; how many."""
    reasons = {Verdict.PASSES: "cured", Verdict.UNKNOWN: "unknown"}
    cases = " ".join(f"WHEN %s THEN '{reason}'" for reason in reasons.values())
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE checks_finding
            SET resolved_at = %s, resolved_run_id = %s,
                resolution = CASE t.code {cases} ELSE 'out_of_scope' END
            FROM {TURNED} AS t
            WHERE t.slot = %s AND t.code <> %s AND checks_finding.check_id = %s
                AND checks_finding.resolved_at IS NULL AND checks_finding.user_id = t.user_id
            """,
            [
                _db("resolved_at", run.started_at),
                _db("resolved_run", run.pk),
                *(rule.place.code(verdict) for verdict in reasons),
                rule.place.slot,
                Verdict.FAILS,
                rule.check.pk,
            ],
        )
        return cursor.rowcount


def store_words(rules: Sequence[Rule], still_alive: Callable[[], None]) -> None:
    """Writes the changed bits of these rules' checks to the users, some users a transaction.

    ``still_alive`` is called in each, and raises where another run may have begun meanwhile. May be cut off
    anywhere: :func:`repair` makes good for it.
    """
    for rule in rules:
        if rule.check.ordinary is None:
            Check.objects.filter(pk=rule.check.pk).update(ordinary=rule.place.ordinary)
    masks = [mask((rule.place for rule in rules), index) for index in range(len(WORDS))]
    assignments = ", ".join(
        f"verdict_{name} = (checks_user.verdict_{name} & %s) | (c.new_{name} & %s)" for name in WORDS
    )
    values = [bits for each in masks for bits in (complement(each), each)]
    for first, last in _ranges():
        with transaction.atomic(), connection.cursor() as cursor:
            # An import updates users in an order of its own: without this the two could wait for each other.
            dialect.lock_accounts(cursor)
            still_alive()
            cursor.execute(
                f"UPDATE checks_user SET {assignments} FROM {CHANGED} AS c"
                " WHERE checks_user.id = c.user_id AND c.user_id BETWEEN %s AND %s"
                # Said twice: else PostgreSQL reads all users for each of the ranges.
                " AND checks_user.id BETWEEN %s AND %s",
                [*values, first, last, first, last],
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


def repair(run: Run, still_alive: Callable[[], None]) -> None:
    """Brings the words in step with the findings of a run that ended before it had stored them.

    The findings are the truth: whom that run found failing gets the bits of a failing user, whom it
    found cured those of one who passes; the next pass judges both anew.
    """
    for check in Check.objects.filter(results__run=run, slug__in=CATALOGUE):
        at = place_of(check)
        opened = Finding.objects.filter(check_ref=check, opened_run=run, resolved_at__isnull=True)
        resolved = Finding.objects.filter(check_ref=check, resolved_run=run, resolved_at__isnull=False)
        with transaction.atomic(), connection.cursor() as cursor:
            dialect.lock_accounts(cursor)
            still_alive()
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
