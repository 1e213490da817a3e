"""One list of the console: search, filters, order, page size, columns, CSV, saved filters, live refresh.

A list is a subclass of :class:`ListView`; docs/console.md shows one. Its rows come as querysets (*parts*, which may
overlap), so that each part is read by its own index.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db.models import F, Model, Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.http import urlencode

from cii_project.audit.services import Action, record
from cii_project.console.core.console_view import ConsoleView
from cii_project.console.core.csv_export import EXPORT_CHUNK, csv_response
from cii_project.console.core.list_query import (
    COLUMNS,
    DEFAULT_COLUMNS,
    FORMAT,
    PAGE_SIZES,
    SEEN,
    Column,
    Filter,
    ListQuery,
    read_list_query,
)
from cii_project.console.core.paging import KeysetPage, OffsetPage
from cii_project.models import SavedFilter

# Up to this number of rows a list is counted to the end and sorts by any column. A longer one says "more
# than", and sorts by the columns that have an index: both would read every row otherwise.
MOST_COUNTED = 10_000
MOST_SELECTS = 50  # a filter with more choices is no select: a page of 10,000 options is 1 MB


@dataclass(frozen=True, slots=True)
class ColumnHead:
    """The head of a column. ``sort``: what a click asks for, empty where the list does not sort by it now."""

    column: Column
    sort: str
    direction: str = ""  # ascending, descending


@dataclass(frozen=True, slots=True)
class ShownFilter:
    """``without``: the list's address without this filter, as a query string."""

    filter: Filter
    value: str
    without: str = ""

    @property
    def is_select(self) -> bool:
        return 0 < len(self.filter.choices) <= MOST_SELECTS and (
            not self.value or any(self.value == known for known, _ in self.filter.choices)
        )

    @property
    def text(self) -> str:
        return self.filter.describe(self.value)


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list, for templates. ``total``: rows that match; None: more than ``MOST_COUNTED``."""

    view: "ListView"
    asked: ListQuery
    filters: Sequence[ShownFilter]
    total: int | None
    page: "KeysetPage[Any] | OffsetPage"
    problems: Sequence[str]
    heads: Sequence[ColumnHead]
    shown: frozenset[str]
    saved: Sequence[tuple[SavedFilter, bool, bool]]
    refresh_query: str = ""

    @property
    def total_text(self) -> str:
        """``1 user``, ``240 users``, ``more than 10,000 users``."""
        one, many = self.view.nouns
        if self.total is None:
            return f"more than {MOST_COUNTED:,} {many}"
        return f"{self.total:,} {one if self.total == 1 else many}"

    @property
    def size(self) -> int:
        return self.asked.size or self.view.default_size

    @property
    def sizes(self) -> Sequence[int]:
        return sorted({*PAGE_SIZES, self.view.default_size})

    @property
    def csv_query(self) -> str:
        return urlencode([*self.asked.pairs, (FORMAT, "csv")])

    @property
    def offered_columns(self) -> list[tuple[Column, bool]]:
        return [
            (column, column.name in self.shown)
            for column in self.view.columns
            if not (column.is_fixed or column.is_csv_only)
        ]

    @property
    def kept(self) -> list[tuple[str, str]]:
        """Parameters that the form of the columns sends again."""
        return [pair for pair in self.asked.pairs if pair[0] != COLUMNS]

    @property
    def default_columns(self) -> str:
        return urlencode([*self.kept, (COLUMNS, DEFAULT_COLUMNS)])

    @property
    def orders(self) -> list[tuple[str, str]]:
        """What a list without heads can be sorted by now, both ways: parameter and label."""
        return [
            (f"{sign}{column.name}", f"{column.label}, {direction}")
            for column in self.view.columns
            if column.sort and (column.is_indexed or self.total is not None)
            for sign, direction in (("", "ascending"), ("-", "descending"))
        ]

    @property
    def order(self) -> str:
        return self.asked.sort or self.view.default_sort

    @property
    def columns_shown(self) -> int:
        return len(self.heads)


class ListView(ConsoleView):
    """A page with a list. ``list_name`` names it in saved filters and in the session."""

    list_name: ClassVar[str] = ""
    nouns: ClassVar[tuple[str, str]] = ("row", "rows")
    search_name: ClassVar[str] = "q"
    search_label: ClassVar[str] = "Search"
    columns: ClassVar[Sequence[Column]] = ()
    # An indexed column, with - before it for descending.
    default_sort: ClassVar[str] = ""
    default_size: ClassVar[int] = 50
    # Rows that are cards: the order is chosen in a select, as there are no heads, and there are no columns to choose.
    has_heads: ClassVar[bool] = True
    # Parameters of the page that are no part of the list.
    ignored: ClassVar[Sequence[str]] = ()
    # The part that refreshes itself on the first page, and how often; 0: not at all.
    body: ClassVar[str] = ""
    refresh_seconds: ClassVar[int] = 0

    # --- What a list says of itself ---------------------------------------------------------------------
    def filters(self) -> Sequence[Filter]:
        return ()

    def matching(self, asked: ListQuery) -> "list[QuerySet[Model]]":
        """The rows that match, without an order, in parts that may overlap."""
        raise NotImplementedError

    def related(self, found: "QuerySet[Model]") -> "QuerySet[Model]":
        """``found`` with the related rows that the page reads (``select_related``)."""
        return found

    def keyset(
        self, parts: "list[QuerySet[Model]]", columns: tuple[str, ...], asked: ListQuery, *, is_few: bool
    ) -> "tuple[list[QuerySet[Model]], tuple[str, ...]]":
        """The parts and their order by an indexed column, for a list that needs another one in some case."""
        return parts, columns

    def sortable(self, found: "QuerySet[Model]", column: Column) -> "QuerySet[Model]":
        """``found`` with what the order by ``column`` needs; only for lists that are counted to the end."""
        return found

    def rows(self, found: Sequence[Any]) -> Sequence[object]:
        """The rows for the template and the columns' values, one for each of ``found``."""
        return found

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        """The rest of the page's context."""
        return {}

    def exported_thing(self) -> Model | None:
        """The object of an export in the audit trail."""
        return None

    def csv_name(self) -> str:
        """The name of the CSV before its date."""
        return self.list_name

    # --- What every list does ---------------------------------------------------------------------------
    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        filters = self.filters()
        asked = self.asked(request.GET, filters)
        if request.GET.get(FORMAT) == "csv":
            return self.export(asked)
        self._remember_columns(asked)
        listing = self._listing(asked, filters)
        rows = self.rows(listing.page.rows)
        context: dict[str, object] = {"listing": listing, "rows": rows}
        if self.refresh_seconds and not asked.cursor:
            digest = self._digest(rows, listing)
            if request.GET.get(SEEN) == digest:
                return HttpResponse(status=204)
            context["refresh_url"] = f"?{urlencode([*asked.pairs, (SEEN, digest)])}"
            context["refresh_seconds"] = self.refresh_seconds
            if SEEN in request.GET and self.is_htmx:
                return self.fragment(self.body, context)
        return self.page({**context, **self.more_context(listing)})

    def asked(self, given: Mapping[str, str], filters: Sequence[Filter] | None = None) -> ListQuery:
        return read_list_query(
            given,
            filters=self.filters() if filters is None else filters,
            columns=self.columns,
            search_name=self.search_name,
            ignored=self.ignored,
        )

    def found(self, asked: ListQuery) -> "list[QuerySet[Model]]":
        """:meth:`matching`; nothing where the address has a filter that is unknown."""
        if asked.matches_nothing:
            return [self.matching(ListQuery())[0].none()]
        return self.matching(asked)

    def total(self, parts: "list[QuerySet[Model]]") -> int | None:
        """The rows that match; None: more than ``MOST_COUNTED``."""
        return counted(parts)

    def export(self, asked: ListQuery) -> HttpResponseBase:
        """All rows that match as CSV, streamed, with every column; on record."""
        if asked.matches_nothing:
            return HttpResponse(
                "\n".join(asked.problems), status=400, content_type="text/plain; charset=utf-8"
            )
        text = f"Exported the list of {self.nouns[1]} as CSV."
        record(Action.EXPORT, self.exported_thing(), text, after={"filters": dict(asked.filter_pairs)})
        return csv_response(self.csv_rows(asked), f"{self.csv_name()}-{timezone.now():%Y-%m-%d}.csv")

    def csv_rows(self, asked: ListQuery) -> Iterator[Sequence[object]]:
        """Header and rows, read by pages: memory does not grow with the list."""
        yield [column.name for column in self.columns]
        parts = self.found(asked)
        total = self.total(parts)
        cursor = ""
        while True:
            page, _ = self._page(parts, asked, total, cursor, EXPORT_CHUNK)
            for row in self.rows(page.rows):
                yield ["" if (cell := column.value(row)) is None else cell for column in self.columns]
            cursor = page.next
            if not cursor:
                return

    def _listing(self, asked: ListQuery, filters: Sequence[Filter]) -> Listing:
        parts = self.found(asked)
        total = self.total(parts)
        page, note = self._page(parts, asked, total, asked.cursor, asked.size or self.default_size)
        shown = self._shown(asked)
        sort = asked.sort if asked.sort and not note else self.default_sort
        return Listing(
            view=self,
            asked=asked,
            filters=[
                ShownFilter(
                    one,
                    asked.filters.get(one.name, ""),
                    urlencode([pair for pair in asked.pairs if pair[0] != one.name]),
                )
                for one in filters
            ],
            total=total,
            page=page,
            problems=[*asked.problems, *([note] if note else [])],
            heads=[_head(column, sort, total) for column in self.columns if column.name in shown],
            shown=frozenset(shown),
            saved=self._saved(asked),
        )

    def _page(
        self, parts: "list[QuerySet[Model]]", asked: ListQuery, total: int | None, cursor: str, size: int
    ) -> "tuple[KeysetPage[Model] | OffsetPage, str]":
        """A page, and a note where the list is too long for the order that is asked for."""
        note = ""
        name = (asked.sort or self.default_sort).removeprefix("-")
        sort = asked.sort or self.default_sort
        column = next(one for one in self.columns if one.name == name)
        if not column.is_indexed and total is None:
            note = (
                f"More than {MOST_COUNTED:,} {self.nouns[1]} match: too many to sort by “{column.label}”. "
                "Filter the list first."
            )
            sort = self.default_sort
            column = next(one for one in self.columns if one.name == sort.removeprefix("-"))
        is_descending = sort.startswith("-")
        if column.is_indexed:
            keyed, names = self.keyset(parts, column.sort, asked, is_few=total is not None)
            order = [f"-{one}" if is_descending else one for one in names]
            return KeysetPage.of(*map(self.related, keyed), order=order, cursor=cursor, size=size), note
        found = self.related(self.sortable(_united(parts), column))
        # The same column twice has no index. An index in this order could make the database read every row to
        # find few.
        keys = [Coalesce(F(one), F(one)) for one in column.sort]
        ordered = found.order_by(
            *(key.desc(nulls_last=True) if is_descending else key.asc(nulls_last=True) for key in keys)
        )
        return OffsetPage.of(ordered, total=total or 0, cursor=cursor, size=size), note

    def _shown(self, asked: ListQuery) -> set[str]:
        kept = self.request.session.get("columns", {}).get(self.list_name)
        if asked.columns is not None:
            return {*asked.columns}
        if kept is not None and self.request.GET.get(COLUMNS) != DEFAULT_COLUMNS:
            names = {column.name for column in self.columns if not column.is_csv_only}
            return {*kept} & names | {column.name for column in self.columns if column.is_fixed}
        return {one.name for one in self.columns if not (one.is_extra or one.is_csv_only)}

    def _remember_columns(self, asked: ListQuery) -> None:
        """For the rest of the session a list keeps the columns that were chosen."""
        if COLUMNS not in self.request.GET:
            return
        kept = dict(self.request.session.get("columns", {}))
        if asked.columns is None:
            kept.pop(self.list_name, None)
        else:
            kept[self.list_name] = list(asked.columns)
        self.request.session["columns"] = kept

    def _saved(self, asked: ListQuery) -> list[tuple[SavedFilter, bool, bool]]:
        """The member's own filters and the shared ones: filter, is it the current one, may the member delete it."""
        can_engineer = bool(self.context()["can_engineer"])
        of_page = SavedFilter.objects.filter(Q(member=self.member) | Q(is_shared=True), page=self.list_name)
        return [
            (
                one,
                one.query in (asked.query, asked.filter_query),
                one.member_id == self.member.pk or can_engineer,
            )
            for one in of_page.select_related("member").order_by("name", "pk")
        ]

    def _digest(self, rows: Sequence[object], listing: Listing) -> str:
        cells = [[str(column.value(row)) for column in self.columns] for row in rows]
        return hashlib.sha256(repr((listing.total, sorted(listing.shown), cells)).encode()).hexdigest()[:16]


def counted(parts: "Sequence[QuerySet[Model]]") -> int | None:
    """Number of different rows in the parts; None: more than ``MOST_COUNTED``."""
    if len(parts) == 1:
        number = parts[0].order_by().values("pk")[: MOST_COUNTED + 1].count()
    else:
        number = len(
            {pk for part in parts for pk in part.order_by().values_list("pk", flat=True)[: MOST_COUNTED + 1]}
        )
    return number if number <= MOST_COUNTED else None


def _united(parts: "Sequence[QuerySet[Model]]") -> "QuerySet[Model]":
    """The rows of parts that were counted to the end, as one queryset."""
    if len(parts) == 1:
        return parts[0]
    ids = {pk for part in parts for pk in part.order_by().values_list("pk", flat=True)}
    return parts[0].model._default_manager.filter(pk__in=ids)


def _head(column: Column, sort: str, total: int | None) -> ColumnHead:
    can_sort = column.sort and (column.is_indexed or total is not None)
    up, down = column.name, f"-{column.name}"
    if sort == up:
        return ColumnHead(column, down if can_sort else "", "ascending")
    if sort == down:
        return ColumnHead(column, up if can_sort else "", "descending")
    return ColumnHead(column, (down if column.starts_descending else up) if can_sort else "")


class ShortListView(ListView):
    """A list of rows that are few and no model's, such as the checks: filtered and sorted in Python."""

    # Name of a column with ``sort`` → the key that orders its rows.
    sort_keys: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}

    def chosen_rows(self, asked: ListQuery) -> list[Any]:
        """The rows that match, in the order of equal ones."""
        raise NotImplementedError

    def found(self, asked: ListQuery) -> list[Any]:
        return [] if asked.matches_nothing else self.chosen_rows(asked)

    def total(self, parts: Sequence[object]) -> int:
        return len(parts)

    def _page(
        self, parts: Sequence[object], asked: ListQuery, total: int | None, cursor: str, size: int
    ) -> tuple[OffsetPage, str]:
        sort = asked.sort or self.default_sort
        key = self.sort_keys[sort.removeprefix("-")]
        ordered = sorted(parts, key=key, reverse=sort.startswith("-"))
        return OffsetPage.of(ordered, total=len(parts), cursor=cursor, size=size), ""
