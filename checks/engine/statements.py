"""The SQL of a run: each function or constant is one whole statement.

Temporary tables, which live as long as the connection:

- ``checks_outcome``: the outcomes of each protected user: ``user_id``, ``w0``, ``w1`` … (outcomes.py)
- ``checks_change``: the changes to make in the findings: ``check_id``, ``user_id``, ``change``, ``outcome``
- ``checks_gathered``: some of the users of ``checks_outcome``: its columns and ``scattered``, a number by which to sample
- ``checks_unknown``: some of the unknown users of each check: ``check_id``, ``user_id``
- ``checks_stale``: users with values that are too old: ``user_id``, ``field_groups``

Only numbers and names of this package are formatted into a statement. Values from elsewhere are parameters.
"""

# ruff: noqa: S608  see above

from collections.abc import Iterable, Mapping, Sequence

from checks import dialect
from checks.engine.outcomes import MASK, Change, Outcome, Place
from checks.freshness import STALE_TABLE, bits_of
from checks.models import FieldGroup

OUTCOME_TABLE = "checks_outcome"
CHANGE_TABLE = "checks_change"
GATHERED_TABLE = "checks_gathered"
UNKNOWN_TABLE = "checks_unknown"

# A check's id and where its outcome is.
Placed = Sequence[tuple[int, Place]]

CREATE_CHANGES = """
    CREATE TEMPORARY TABLE checks_change (check_id bigint, user_id bigint, change smallint, outcome smallint)
"""
CREATE_UNKNOWN = f"CREATE TEMPORARY TABLE {UNKNOWN_TABLE} (check_id bigint, user_id bigint)"


def outcome_columns(words: int) -> dict[str, str]:
    """The columns of the table of outcomes with ``words`` words for each user, and their types."""
    return {"user_id": dialect.key(), **{f"w{word}": "bigint" for word in range(words)}}


def select_outcomes(
    select: str, columns: Sequence[tuple[Place, frozenset[FieldGroup]]], *, any_stale: bool
) -> str:
    """The row of ``checks_outcome`` of each user.

    ``select`` gives a row for each user: the id, then the shifted outcome of each check. ``columns``: for each of these
    outcomes its place and the groups of fields that the check reads. ``any_stale``: some user has values that are too old.
    """
    names = [f"c{index}" for index in range(len(columns))]
    terms: dict[int, list[str]] = {}
    for name, (place, reads) in zip(names, columns, strict=True):
        terms.setdefault(place.word, []).append(_stale_or(name, place, reads) if any_stale else name)
    return f"""
        WITH evaluated (user_id, {", ".join(names)}) AS ({select})
        SELECT e.user_id, {", ".join(" + ".join(of_word) for of_word in terms.values())}
        FROM evaluated e
        {f"LEFT JOIN {STALE_TABLE} s ON s.user_id = e.user_id" if any_stale else ""}
    """


def _stale_or(name: str, place: Place, reads: frozenset[FieldGroup]) -> str:
    """STALE where the check would evaluate a user by a value that is too old, else the outcome ``name``."""
    return f"""
            CASE WHEN COALESCE(s.field_groups & {bits_of(reads)}, 0) = 0 OR {name} = 0 THEN {name}
                ELSE {Outcome.STALE << place.shift} END"""


def count_outcomes(words: Iterable[int], seed: int) -> str:
    """Each combination of values of these words of outcomes, with the number and the fingerprint of its users."""
    columns = ", ".join(f"w{word}" for word in words)
    return f"""
        SELECT {columns}, COUNT(*), {dialect.fingerprint("user_id", seed)} FROM checks_outcome GROUP BY {columns}
    """


def count_open_findings(seed: int) -> str:
    """The number and the fingerprint of the users with an open finding, by check."""
    return f"""
        SELECT check_id, COUNT(*), {dialect.fingerprint("user_id", seed)} FROM checks_finding
        WHERE resolved_at IS NULL GROUP BY check_id
    """


COUNT_SUSPENDED_FINDINGS = """
    SELECT check_id, COUNT(*) FROM checks_finding WHERE resolution = 'unknown' GROUP BY check_id
"""


def compare_open_findings(checks: Placed) -> str:
    """Note the open findings of users who no longer fail: they are to be resolved."""
    return f"""
        INSERT INTO checks_change (check_id, user_id, change, outcome)
        WITH place (check_id, word, shift) AS (VALUES {_places(checks)}),
        compared (check_id, user_id, outcome) AS (
            SELECT f.check_id, f.user_id, (({_word_of_check(checks)} >> p.shift) & {MASK})
            FROM checks_finding f
            JOIN place p ON p.check_id = f.check_id
            LEFT JOIN checks_outcome o ON o.user_id = f.user_id
            WHERE f.resolved_at IS NULL
        )
        SELECT check_id, user_id, {Change.RESOLVE:d}, outcome
        FROM compared
        WHERE outcome NOT IN ({Outcome.FAIL:d}, {Outcome.STALE:d})
    """


def compare_suspended_findings(checks: Placed) -> str:
    """Note the findings that were resolved as unknown and whose users are known to fail, or not to fail."""
    return f"""
        INSERT INTO checks_change (check_id, user_id, change, outcome)
        WITH place (check_id, word, shift) AS (VALUES {_places(checks)}),
        compared (check_id, user_id, outcome) AS (
            SELECT f.check_id, f.user_id, (({_word_of_check(checks)} >> p.shift) & {MASK})
            FROM checks_finding f
            JOIN place p ON p.check_id = f.check_id
            LEFT JOIN checks_outcome o ON o.user_id = f.user_id
            WHERE f.resolution = 'unknown'
        )
        SELECT check_id, user_id,
            CASE WHEN outcome = {Outcome.FAIL:d} THEN {Change.REOPEN:d} ELSE {Change.SETTLE:d} END, outcome
        FROM compared
        WHERE outcome NOT IN ({Outcome.UNKNOWN:d}, {Outcome.STALE:d})
    """


def _places(checks: Placed) -> str:
    return ", ".join(f"({check:d}, {place.word}, {place.shift})" for check, place in checks)


def _word_of_check(checks: Placed) -> str:
    """The word that holds the outcome; 0, out of scope, for a user without outcomes."""
    words = sorted({place.word for _, place in checks})
    return f"COALESCE(CASE p.word {' '.join(f'WHEN {word} THEN o.w{word}' for word in words)} END, 0)"


def find_new_failures(word: int, checks: Iterable[tuple[int, Place]]) -> str:
    """Note the users who fail and have no finding, open or suspended. ``checks``: all in one word."""
    places = ", ".join(f"({check:d}, {place.shift})" for check, place in checks)
    return f"""
        INSERT INTO checks_change (check_id, user_id, change, outcome)
        WITH place (check_id, shift) AS (VALUES {places})
        SELECT p.check_id, o.user_id, {Change.OPEN:d}, {Outcome.FAIL:d}
        FROM checks_outcome o CROSS JOIN place p
        WHERE ((o.w{word} >> p.shift) & {MASK}) = {Outcome.FAIL:d}
            AND NOT EXISTS (SELECT 1 FROM checks_finding f
                WHERE f.check_id = p.check_id AND f.user_id = o.user_id AND f.resolved_at IS NULL)
            AND NOT EXISTS (SELECT 1 FROM checks_finding f
                WHERE f.check_id = p.check_id AND f.user_id = o.user_id AND f.resolution = 'unknown')
    """


def count_stale_with_finding(place: Place) -> str:
    """The users whose finding stays open because their values are too old to resolve it. Parameter: the check's id."""
    return f"""
        SELECT COUNT(*) FROM checks_outcome o JOIN checks_finding f ON f.user_id = o.user_id
        WHERE ((o.w{place.word} >> {place.shift}) & {MASK}) = {Outcome.STALE:d}
            AND f.check_id = %s AND f.resolved_at IS NULL
    """


def gather_unknown(words: int, every: int, rare: Mapping[int, int]) -> str:
    """Put into ``checks_gathered`` one in ``every`` of all users, and every user whose outcome of a rare check is unknown,
    by one scan. ``rare``: word → the lowest bit of each of these checks.

    The ids are scattered first: those of one source may follow each other or a pattern. The product stays below 2^63.
    An outcome is :attr:`Outcome.UNKNOWN` where its two lower bits are set.
    """
    columns = ", ".join(f"w{word}" for word in range(words))
    unknown = " ".join(f"OR (w{word} & (w{word} >> 1) & {bits}) <> 0" for word, bits in rare.items())
    return f"""
        CREATE TEMPORARY TABLE {GATHERED_TABLE} AS
        SELECT user_id, scattered, {columns} FROM (
            SELECT user_id, (user_id % 1000003) * 2654435761 / 65536 AS scattered, {columns} FROM checks_outcome
        ) o
        WHERE scattered % {every} = 0 {unknown}
    """


def sample_unknown(place: Place, every: int) -> str:
    """Note one in ``every`` of a check's unknown users, out of ``checks_gathered``. Parameter: the check's id."""
    return f"""
        INSERT INTO {UNKNOWN_TABLE} SELECT %s, user_id FROM {GATHERED_TABLE}
        WHERE ((w{place.word} >> {place.shift}) & {MASK}) = {Outcome.UNKNOWN:d} AND scattered %% {every} = 0
    """


def count_causes(mask: str) -> str:
    """The noted users by check, source and ``mask``, an expression over user (u), account (a) and source (s)."""
    return f"""
        SELECT check_id, source_id, mask, COUNT(DISTINCT user_id) FROM (
            SELECT x.check_id, x.user_id, a.source_id, {mask} AS mask
            FROM {UNKNOWN_TABLE} x
            JOIN checks_user u ON u.id = x.user_id
            JOIN checks_account a ON a.user_id = x.user_id AND COALESCE(a.status, '') <> 'deleted'
            JOIN checks_source s ON s.id = a.source_id
        ) found
        WHERE mask <> 0
        GROUP BY check_id, source_id, mask
    """


def causes_of_user(mask: str) -> str:
    """The name of the source and ``mask`` of each account of a user that is not deleted. Parameter: the user's id."""
    return f"""
        SELECT s.name, {mask} AS mask
        FROM checks_user u
        JOIN checks_account a ON a.user_id = u.id AND COALESCE(a.status, '') <> 'deleted'
        JOIN checks_source s ON s.id = a.source_id
        WHERE u.id = %s
    """


def new_users(checks: int) -> str:
    """The users of a kind of change. Parameters: the change, then the ids of ``checks`` checks."""
    marks = ", ".join(["%s"] * checks)
    return f"SELECT user_id FROM {CHANGE_TABLE} WHERE change = %s AND check_id IN ({marks})"


COUNT_CHANGES = "SELECT check_id, change, COUNT(*) FROM checks_change GROUP BY check_id, change"
COUNT_SUSPENSIONS = f"""
    SELECT check_id, COUNT(*) FROM checks_change
    WHERE change = {Change.RESOLVE:d} AND outcome = {Outcome.UNKNOWN:d} GROUP BY check_id
"""

# Parameters: the time and the id of the run, the check's id.
OPEN_FINDINGS = f"""
    INSERT INTO checks_finding (check_id, user_id, opened_at, opened_run_id, resolution)
    SELECT check_id, user_id, %s, %s, '' FROM checks_change
    WHERE check_id = %s AND change = {Change.OPEN:d}
    ORDER BY user_id
    ON CONFLICT DO NOTHING
"""
# Parameters: the check's id, twice.
REOPEN_FINDINGS = f"""
    UPDATE checks_finding SET resolved_at = NULL, resolved_run_id = NULL, resolution = ''
    FROM checks_change c
    WHERE c.check_id = %s AND c.change = {Change.REOPEN:d}
        AND checks_finding.check_id = %s AND checks_finding.user_id = c.user_id
        AND checks_finding.resolution = 'unknown'
"""
# Parameters: the time and the id of the run, the check's id twice.
RESOLVE_FINDINGS = f"""
    UPDATE checks_finding SET resolved_at = %s, resolved_run_id = %s,
        resolution = CASE c.outcome WHEN {Outcome.PASS:d} THEN 'cured' WHEN {Outcome.UNKNOWN:d} THEN 'unknown'
            ELSE 'out_of_scope' END
    FROM checks_change c
    WHERE c.check_id = %s AND c.change = {Change.RESOLVE:d}
        AND checks_finding.check_id = %s AND checks_finding.user_id = c.user_id
        AND checks_finding.resolved_at IS NULL
"""
# Parameters: the check's id, twice.
SETTLE_FINDINGS = f"""
    UPDATE checks_finding SET
        resolution = CASE c.outcome WHEN {Outcome.PASS:d} THEN 'cured' ELSE 'out_of_scope' END
    FROM checks_change c
    WHERE c.check_id = %s AND c.change = {Change.SETTLE:d}
        AND checks_finding.check_id = %s AND checks_finding.user_id = c.user_id
        AND checks_finding.resolution = 'unknown'
"""
FORGET_DELETED_USERS = "DELETE FROM checks_change WHERE user_id NOT IN (SELECT id FROM checks_user)"
