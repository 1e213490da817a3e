"""Saved filters of the lists: their dialog, and their deletion. The lists themselves show them (core/list_view.py)."""

from django import forms
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path

from cii_project.console.core.console_view import ConsoleView, Role
from cii_project.console.core.form_parts import apply_unfold_look, form_helper
from cii_project.console.core.roles import role_of
from cii_project.models import SavedFilter

MOST_SAVED = 20
LONGEST_QUERY = 4096
LIST_NAMES = frozenset(
    {
        "users",
        "failing",
        "checks",
        "runs",
        "deliveries",
        "holds",
        "held-messages",
        "imports",
        "syncs",
        "integrations",
        "exclusions",
        "joining",
    }
)


class SaveForm(forms.Form):
    name = forms.CharField(
        label="Name", max_length=64, help_text="An existing filter of yours with this name is replaced."
    )
    query = forms.CharField(widget=forms.HiddenInput, max_length=LONGEST_QUERY)
    is_shared = forms.BooleanField(
        label="Shared", required=False, help_text="Every member sees it above the list."
    )

    def __init__(
        self, data: QueryDict | None = None, *, may_share: bool, initial: dict[str, str] | None = None
    ) -> None:
        super().__init__(data, initial=initial)
        if not may_share:
            del self.fields["is_shared"]
        apply_unfold_look(self)
        self.helper = form_helper("query", "name", *(["is_shared"] if may_share else []))


class SaveFilter(ConsoleView):
    """The dialog that saves the filter of a list. Every role saves its own; an Operator may share one."""

    write_role = Role.VIEWER
    template = "console/saved_filters/save_dialog.html"

    def get(self, request: HttpRequest, list_name: str) -> HttpResponse:
        initial = {"query": request.GET.urlencode()[:LONGEST_QUERY]}
        return self._dialog(list_name, SaveForm(initial=initial, may_share=self._may_share()))

    def post(self, request: HttpRequest, list_name: str) -> HttpResponse:
        form = SaveForm(request.POST, may_share=self._may_share())
        mine = SavedFilter.objects.filter(member=self.member, page=list_name)
        if form.is_valid():
            is_new = not mine.filter(name=form.cleaned_data["name"]).exists()
            if is_new and mine.count() >= MOST_SAVED:
                form.add_error(
                    "name", f"You have {MOST_SAVED} saved filters of this list, the most. Delete one first."
                )
        if not form.is_valid():
            return self._dialog(list_name, form)
        given = form.cleaned_data
        mine.update_or_create(
            name=given["name"],
            defaults={"query": given["query"], "is_shared": given.get("is_shared", False)},
            create_defaults={
                "member": self.member,
                "page": list_name,
                "query": given["query"],
                "is_shared": given.get("is_shared", False),
            },
        )
        return self.refreshed(f"The filter “{given['name']}” is saved.")

    def _may_share(self) -> bool:
        return role_of(self.member) >= Role.OPERATOR

    def _dialog(self, list_name: str, form: SaveForm) -> HttpResponse:
        if list_name not in LIST_NAMES:
            raise Http404(f"There is no list {list_name}.")
        return self.fragment(self.template, {"form": form, "list_name": list_name})


class DeleteFilter(ConsoleView):
    """Delete a filter. Members delete their own filters; an Engineer also deletes shared ones."""

    write_role = Role.VIEWER

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        allowed = Q(member=self.member)
        if role_of(self.member) >= Role.ENGINEER:
            allowed |= Q(is_shared=True)
        found = get_object_or_404(SavedFilter.objects.filter(allowed), pk=pk)
        found.delete()
        return self.refreshed(f"The filter “{found.name}” is deleted.")


urlpatterns = [
    path("filters/<slug:list_name>/save", SaveFilter.as_view(), name="filter-save"),
    path("filters/<int:pk>/delete", DeleteFilter.as_view(), name="filter-delete"),
]
