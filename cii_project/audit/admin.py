"""Base classes for Django's admin: records that are read-only, and changes that the audit trail records."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.paginator import Paginator
from django.db.models import Manager, Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from cii_project.audit.services import Action, record


class FirstRows(Paginator):  # type: ignore[type-arg]  # none at run time
    """The first 10,000 rows, counted no further: the count and a page cost as much as the rows before them. Filters and the
    search lead to the rest."""

    most = 10_000

    @cached_property
    def count(self) -> int:
        return int(self.object_list[: self.most].count())  # type: ignore[attr-defined]  # it is a queryset


class CountedOnce(ChangeList):
    """A list that shows one count, at its foot: Unfold's head shows another, "results", next to the title."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


class RecordAdmin(ModelAdmin):
    """Nothing is added, changed or deleted; lists are counted up to 10,000 rows."""

    paginator: ClassVar[type] = FirstRows
    show_full_result_count = False
    # No "Show all": Unfold draws the link in a colour that is hard to read, and the search is quicker.
    list_max_show_all = 0
    list_per_page = 50
    ordering: ClassVar[Sequence[str]] = ("-id",)

    def get_changelist(self, request: HttpRequest, **kwargs: object) -> type[ChangeList]:
        return CountedOnce

    def found(self, term: str) -> dict[str, object]:
        """The filter that a search means. Override it for a table that is too large for Django's own search."""
        return {}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Model], search_term: str
    ) -> tuple[QuerySet[Model], bool]:
        term = search_term.replace("\0", "").strip()
        if term and (found := self.found(term)):
            return queryset.filter(**found), False
        result: tuple[QuerySet[Model], bool] = super().get_search_results(request, queryset, search_term)
        return result

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # none at run time
    """Mixin for a ``ModelAdmin`` that can change its model. Django's own log feeds the History page of an object."""

    def construct_change_message(
        self,
        request: HttpRequest,
        form: forms.Form,
        formsets: "Iterable[forms.BaseFormSet[forms.Form]]",
        add: bool = False,
    ) -> list[dict[str, dict[str, list[str]]]]:
        request.audited_form = form  # type: ignore[attr-defined]
        return super().construct_change_message(request, form, formsets, add)

    def log_addition(self, request: HttpRequest, obj: Model, message: object) -> LogEntry:
        record(Action.ADD, obj, "Added.", after=_values(request, "cleaned_data"))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: object) -> LogEntry:
        names = ", ".join(name.replace("_", " ") for name in request.audited_form.changed_data)  # type: ignore[attr-defined]
        before, after = _values(request, "initial"), _values(request, "cleaned_data")
        record(Action.CHANGE, obj, f"Changed {names or 'nothing'}.", before=before, after=after)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Model]) -> list[LogEntry]:
        for obj in queryset:
            record(Action.DELETE, obj, "Deleted.")
        return super().log_deletions(request, queryset)


def _values(request: HttpRequest, state: str) -> dict[str, object]:
    """The changed fields as the form had them before (``initial``) or has them now, without passwords."""
    form = request.audited_form  # type: ignore[attr-defined]
    names = [name for name in form.changed_data if "password" not in name]
    return {name: _shown(getattr(form, state).get(name)) for name in names}


def _shown(value: object) -> object:
    """A field's value as text or a list of texts: of related rows their names."""
    if isinstance(value, QuerySet | Manager | list):
        return sorted(str(item) for item in (value.all() if isinstance(value, Manager) else value))
    return value if value is None or isinstance(value, bool | int | str) else str(value)
