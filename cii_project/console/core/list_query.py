"""The query in the address of a list: words, filters, order, page size, columns. Pure; :mod:`list_view`
answers it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import TextChoices

PAGE_SIZES = (25, 50, 100)  # a row of the longest lists is 2.4 kB: a page stays below 300 kB
LONGEST_SEARCH = 320
# Parameters of a list's address that are no filters. ``seen`` and ``format`` are never part of a saved filter.
SEEN, FORMAT, CURSOR = "seen", "format", "page"
SORT, SIZE, COLUMNS = "sort", "size", "columns"
DEFAULT_COLUMNS = "default"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a list.

    ``value``: a row → its cell in the CSV. ``sort``: the columns of the model that order it, ascending and unique
    together; empty: the list does not sort by it. ``is_indexed``: an index serves this order, so that a list of any
    length has it. ``is_fixed``: always shown; ``is_extra``: shown only if a member chooses it; ``is_csv_only``: never on
    the page. ``starts_descending``: the first click on its head sorts downwards.
    """

    name: str
    label: str
    value: Callable[[Any], object]
    sort: tuple[str, ...] = ()
    is_indexed: bool = False
    is_number: bool = False
    is_fixed: bool = False
    is_extra: bool = False
    is_csv_only: bool = False
    starts_descending: bool = False


def choices_of(choices: type[TextChoices]) -> list[tuple[str, str]]:
    """The values and labels of a model's choices, for a filter."""
    return [(str(value), str(label)) for value, label in choices.choices]


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of a list. ``choices``: value and label, shown as a select. ``accepts``: values in addition
    to the choices, for filters that links set, such as the run of a delivery; ``describe`` says one in
    words. ``unset_text``: what the select shows while the filter is not set; empty: ``<label>: any``."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]] = ()
    accepts: Callable[[str], bool] | None = None
    describe: Callable[[str], str] = str
    unset_text: str = ""

    def knows(self, value: str) -> bool:
        return any(value == known for known, _ in self.choices) or bool(self.accepts and self.accepts(value))

    def problem(self, value: str) -> str:
        """The error for a value that the filter does not know."""
        if len(self.choices) > 12 or not self.choices:
            return (
                f"Unknown value “{value}” of the filter {self.label}. Choose one of the list's own filters."
            )
        known = ", ".join(one for one, _ in self.choices)
        return f"Unknown value “{value}” of the filter {self.label}. Use one of: {known}."


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list's address, read.

    ``filters``: name → value, those that are set. ``columns``: names in the order of the list; None: as usual.
    ``problems``: what of the address is unknown, one sentence each. ``matches_nothing``: one of them is a filter, so
    that no row may be shown, exported or changed: without the filter there would be more than was asked for.
    """

    search_name: str = "q"
    search: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""
    size: int = 0
    columns: tuple[str, ...] | None = None
    cursor: str = ""
    problems: tuple[str, ...] = ()
    matches_nothing: bool = False

    @property
    def is_filtered(self) -> bool:
        return bool(self.search or self.filters or self.matches_nothing)

    @property
    def filter_pairs(self) -> list[tuple[str, str]]:
        """The words and the filters, as parameters."""
        words = [(self.search_name, self.search)] if self.search else []
        return [*words, *self.filters.items()]

    @property
    def filter_query(self) -> str:
        return urlencode(self.filter_pairs)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All that describes the list, without the place in it."""
        more = [(SORT, self.sort)] if self.sort else []
        if self.size:
            more.append((SIZE, str(self.size)))
        if self.columns is not None:
            more.append((COLUMNS, ",".join(self.columns)))
        return [*self.filter_pairs, *more]

    @property
    def query(self) -> str:
        return urlencode(self.pairs)


def read_list_query(
    given: Mapping[str, str],
    *,
    filters: Sequence[Filter],
    columns: Sequence[Column],
    search_name: str = "q",
    ignored: Sequence[str] = (),
) -> ListQuery:
    """The address's parameters, each known or named in ``problems``. ``ignored``: further parameters of the page.

    ``search_name`` is empty where the list has no search.
    """
    problems: list[str] = []
    known = {one.name: one for one in filters}
    own = {SEEN, FORMAT, CURSOR, SORT, SIZE, COLUMNS, search_name, *ignored}
    chosen: dict[str, str] = {}
    matches_nothing = False
    for name in given:
        value = _clean(given[name])
        if name in own or not value:
            continue
        if name not in known:
            matches_nothing = True
            problems.append(
                f"Unknown filter “{_clean(name)}”. This list has: {', '.join([*([search_name] if search_name else []), *known])}."
            )
        elif not known[name].knows(value):
            matches_nothing = True
            problems.append(known[name].problem(value))
        else:
            chosen[name] = value
    return ListQuery(
        search_name=search_name,
        search=_clean(given.get(search_name, "")) if search_name else "",
        filters={name: chosen[name] for name in known if name in chosen},
        sort=_read_sort(given.get(SORT, ""), columns, problems),
        size=_read_size(given.get(SIZE, ""), problems),
        columns=_read_columns(given, columns, problems),
        cursor=given.get(CURSOR, ""),
        problems=tuple(problems),
        matches_nothing=matches_nothing,
    )


def _clean(value: str) -> str:
    return value.replace("\0", "").strip()[:LONGEST_SEARCH]


def _read_sort(given: str, columns: Sequence[Column], problems: list[str]) -> str:
    sorts = [column.name for column in columns if column.sort]
    if not given or given.removeprefix("-") in sorts:
        return given
    problems.append(
        f"Unknown order “{_clean(given)}”. Use one of: {', '.join(sorts)}, with - before it to turn it."
    )
    return ""


def _read_size(given: str, problems: list[str]) -> int:
    if not given:
        return 0
    if given in map(str, PAGE_SIZES):
        return int(given)
    problems.append(f"Unknown page size “{_clean(given)}”. Use one of: {', '.join(map(str, PAGE_SIZES))}.")
    return 0


def _read_columns(
    given: Mapping[str, str], columns: Sequence[Column], problems: list[str]
) -> tuple[str, ...] | None:
    """``columns=a,b`` or, from a form, ``columns=a&columns=b``."""
    if COLUMNS not in given:
        return None
    getlist = getattr(given, "getlist", None)
    texts: list[str] = getlist(COLUMNS) if getlist else [given[COLUMNS]]
    wanted = {name for text in texts for name in _clean(text).split(",") if name}
    if wanted == {DEFAULT_COLUMNS}:
        return None
    offered = [column.name for column in columns if not column.is_csv_only]
    unknown = sorted(wanted - {*offered})
    if unknown:
        problems.append(f"Unknown column “{unknown[0]}”. Use some of: {', '.join(offered)}.")
    return tuple(column.name for column in columns if column.is_fixed or column.name in wanted)
