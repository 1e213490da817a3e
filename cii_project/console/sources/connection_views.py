"""Connected sources: adding, editing, testing, syncing, held listings, and the tokens of those that push."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.functional import cached_property

from checks.models import Account, FieldGroup, Source
from checks.services import MappingError, add_source, checks_reading
from cii_project.console.core import setting_widgets, unsaved_secrets
from cii_project.console.core.console_view import Role, guide_url, page_url
from cii_project.console.core.csv_export import time_cell
from cii_project.console.core.field_labels import label_of
from cii_project.console.core.list_query import Column, Filter, ListQuery, choices_of
from cii_project.console.core.list_view import Listing, ListView
from cii_project.console.core.source_rows import kind_label
from cii_project.console.core.titles import check_title
from cii_project.console.core.viewer_zone import shown_time
from cii_project.console.sources.connection_forms import ConnectionForm, RotateTokenForm
from cii_project.console.sources.views import (
    SECTION,
    SHOWN_ONCE,
    TESTED_ON_ARRIVAL,
    SourceView,
    connected_context,
    counts_of,
    crumbs,
    sync_variant,
)
from cii_project.imports.connected_files import check_reading_settings, field_of_each
from cii_project.sync.requests import SyncRefused, drop_held, release_held, start_sync
from cii_project.sync.status import progress_of
from integrations.models import SourceConnection, Sync
from integrations.services import (
    API_SOURCES,
    SOURCE_KINDS,
    ConnectionKind,
    InvalidDocument,
    PermissionResult,
    is_push_kind,
    probe_connection,
    rotate_push_token,
    save_connection,
    seal,
    set_connection_state,
)

BADGES = {"granted": "success", "missing": "danger", "unlicensed": "warning", "unclear": "warning"}
LABELS = {"unlicensed": "Not licensed"}


class ConnectionView(SourceView):
    def connection(self, source: Source) -> SourceConnection:
        return get_object_or_404(SourceConnection, source_slug=source.slug)


class AddSource(SourceView):
    title = "Add a source"
    template = "console/sources/gallery.html"
    role = write_role = Role.ENGINEER

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page({"cards": list(SOURCE_KINDS.values()), "crumbs": crumbs()})


class ConnectionFormPage(ConnectionView):
    template = "console/sources/connection_form.html"
    role = write_role = Role.ENGINEER

    def answer(self, form: ConnectionForm, source: Source | None) -> HttpResponse:
        label = form.source_kind.label
        return self.page(
            {
                "title": f"Edit {source.name}" if source else f"Add {label}",
                "form": form,
                "source": source,
                "steps": form.source_kind.steps,
                "guide_url": guide_url(f"sources/{form.source_kind.slug}"),
                "kind": form.source_kind,
                "is_push": is_push_kind(form.source_kind.slug),
                "crumbs": crumbs(*([(source.name, page_url("source", source.slug))] if source else [])),
            }
        )

    def refuse(self, form: ConnectionForm, source: Source | None) -> HttpResponse:
        """The form again with its errors; the secrets that were entered stay on the server for the next attempt."""
        unsaved_secrets.keep(self.request, form, setting_widgets.secret_inputs(form.source_kind.form_fields))
        return self.answer(form, source)

    def posted(self, kind: ConnectionKind) -> QueryDict:
        """The form's data with the secrets of the last attempt."""
        return unsaved_secrets.restore(self.request, setting_widgets.secret_inputs(kind.form_fields))

    def saved(self, text: str, slug: str) -> HttpResponse:
        """To the source's page, which tests the connection at once if the form asked for it."""
        unsaved_secrets.discard(self.request, self.request.POST.get(unsaved_secrets.FIELD, ""))
        if "test" in self.request.POST:
            self.request.session[TESTED_ON_ARRIVAL] = slug
        return self.done(text, page_url("source", slug))


class ConnectSource(ConnectionFormPage):
    """Add a source of one kind."""

    def kind(self, slug: str) -> ConnectionKind:
        if slug not in SOURCE_KINDS:
            raise Http404(f"There is no kind of source “{slug}”.")
        return SOURCE_KINDS[slug]

    def get(self, request: HttpRequest, kind: str) -> HttpResponse:
        return self.answer(ConnectionForm(self.kind(kind)), None)

    def post(self, request: HttpRequest, kind: str) -> HttpResponse:
        source_kind = self.kind(kind)
        form = ConnectionForm(source_kind, self.posted(source_kind))
        if not form.is_valid():
            return self.refuse(form, None)
        given = form.cleaned_data
        try:
            with transaction.atomic():
                source = add_source(
                    slug=given["slug"],
                    name=given["name"],
                    kind=source_kind.system or given["kind"],
                    provider=source_kind.provider,
                )
                connection, _ = save_connection(
                    slug=source.slug, kind=source_kind.slug, document=form.document(), **form.common()
                )
                check_reading_settings(connection)
                if is_push_kind(source_kind.slug):
                    sealed = seal(rotate_push_token(connection))
                    request.session[SHOWN_ONCE] = {source.slug: sealed}
        except InvalidDocument as error:
            form.place_errors(error.errors)
            return self.refuse(form, None)
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                form.add_error(name if name in form.fields else None, texts)
            return self.refuse(form, None)
        next_step = (
            "Enter its base URL and token at the pushing system."
            if is_push_kind(source_kind.slug)
            else "Test its connectivity, then start the first sync."
        )
        text = f"“{source.name}” is added. {next_step}"
        return self.saved(text, source.slug)


class EditConnection(ConnectionFormPage):
    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        return self.answer(self.form(source), source)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        form = self.form(source)
        if not form.is_valid():
            return self.refuse(form, source)
        connection = self.connection(source)
        try:
            with transaction.atomic():
                _, changed = save_connection(
                    slug=slug,
                    kind=connection.kind,
                    document=form.document(),
                    connection=connection,
                    **form.common(),
                )
                check_reading_settings(connection)
        except InvalidDocument as error:
            form.place_errors(error.errors)
            return self.refuse(form, source)
        return self.saved("The source is saved." if changed else "Nothing was changed.", slug)

    def form(self, source: Source) -> ConnectionForm:
        connection = self.connection(source)
        if connection.kind not in API_SOURCES:
            raise Http404(f"There is no kind of source “{connection.kind}”.")
        data = self.posted(API_SOURCES[connection.kind]) if self.request.method == "POST" else None
        return ConnectionForm(API_SOURCES[connection.kind], data, connection=connection)


class TestConnection(ConnectionView):
    """Test connectivity: one call for each permission, in a dialog."""

    http_method_names = ("post",)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        connection = self.connection(source)
        if connection.kind not in API_SOURCES:
            raise Http404(f"There is no kind of source “{connection.kind}”.")
        found = probe_connection(connection)
        return self.fragment(
            "console/sources/test_dialog.html",
            {
                "source": source,
                "found": found,
                "permissions": [_permission(each) for each in found.permissions],
                "columns": _columns(source, connection, found.columns),
                "rates": [(name, seen) for name, seen in found.rates.items() if seen.limit],
                "share": connection.rate_share,
                "skew": round(found.clock_skew) if found.clock_skew and abs(found.clock_skew) > 60 else None,
            },
        )


def _columns(source: Source, connection: SourceConnection, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Each column of a file with the label of its field; "" where it is not read."""
    if not columns:
        return []
    try:
        fields = field_of_each(source, connection.settings, columns)
    except MappingError:
        fields = {}
    return [(column, label_of(fields[column]) if column in fields else "") for column in columns]


def _permission(result: PermissionResult) -> dict[str, object]:
    groups = [FieldGroup(group) for group in result.groups]
    is_granted = result.state == "granted"
    checks = [] if is_granted else checks_reading(groups, timezone.now())
    return {
        "name": result.name,
        "state": LABELS.get(result.state, result.state.capitalize()),
        "variant": BADGES[result.state],
        "detail": result.detail,
        "unknown": [] if is_granted else [str(group.label) for group in groups],
        "checks": [check_title(check.slug) for check in checks],
    }


class SyncNow(ConnectionView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        try:
            start_sync(self.connection(source), Sync.Trigger.MEMBER)
        except SyncRefused as refusal:
            return self.refreshed(str(refusal), "warning")
        return self.refreshed(f"A sync of “{source.name}” has started.")


class Passes(ConnectionView):
    """The progress of a source's newest sync, a fragment that refreshes itself."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        context = connected_context(self.connection(source))
        return self.fragment("console/sources/passes.html", {**context, "source": source})


class PauseSource(ConnectionView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        reason = f"Paused by {self.member.get_username()}."
        set_connection_state(self.connection(source), SourceConnection.State.PAUSED, reason)
        text = (
            "What it pushes is stored, and waits."
            if is_push_kind(self.connection(source).kind)
            else "A sync that is running waits where it is."
        )
        return self.refreshed(f"“{source.name}” is paused. {text}")


class ResumeSource(ConnectionView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        set_connection_state(self.connection(source), SourceConnection.State.ACTIVE)
        again = "imported" if is_push_kind(self.connection(source).kind) else "synced"
        return self.refreshed(f"“{source.name}” is {again} again.")


class RotateToken(ConnectionView):
    """A new token of a source that pushes; the dialog shows it once."""

    role = write_role = Role.ENGINEER
    template = "console/sources/token_dialog.html"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        source, _ = self.pushing(slug)
        return self.fragment(self.template, {"source": source, "form": RotateTokenForm()})

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source, connection = self.pushing(slug)
        form = RotateTokenForm(request.POST)
        if not form.is_valid():
            return self.fragment(self.template, {"source": source, "form": form})
        hours = form.cleaned_data["hours"]
        token = rotate_push_token(connection, overlap_hours=hours)
        return self.fragment(self.template, {"source": source, "hours": hours, "token": token})

    def pushing(self, slug: str) -> tuple[Source, SourceConnection]:
        source = self.one(slug)
        connection = self.connection(source)
        if not is_push_kind(connection.kind):
            raise Http404("This source has no push token.")
        return source, connection


@dataclass(frozen=True, slots=True)
class SyncRow:
    """A sync of the list, its source's name, and what it read (:func:`counts_of`)."""

    sync: Sync
    source: str
    variant: str
    counts: Mapping[str, int]


def _seconds(sync: Sync) -> int | None:
    return round((sync.finished_at - sync.created_at).total_seconds()) if sync.finished_at else None


class SyncsPage(ListView):
    """All syncs, of all connected sources."""

    title = "Syncs"
    guide = "sources"
    template = "console/sources/syncs.html"
    section = SECTION
    list_name = "syncs"
    nouns = ("sync", "syncs")
    search_label = "Source or error"
    default_sort = "-started"
    columns = (
        Column(
            "started",
            "Started",
            lambda row: time_cell(row.sync.created_at),
            ("id",),
            is_indexed=True,
            is_fixed=True,
            starts_descending=True,
        ),
        Column("source", "Source", lambda row: row.source, ("connection__source_slug", "id")),
        Column("state", "State", lambda row: row.sync.state, ("state", "id")),
        Column("trigger", "Started by", lambda row: row.sync.trigger, ("trigger", "id"), is_extra=True),
        Column("took", "Took, seconds", lambda row: _seconds(row.sync), is_number=True, is_extra=True),
        Column("seen", "Seen", lambda row: row.counts["seen"], is_number=True),
        Column("created", "New", lambda row: row.counts["created"], is_number=True),
        Column("changed", "Changed", lambda row: row.counts["changed"], is_number=True),
        Column("deleted", "Gone", lambda row: row.counts["deleted"], is_number=True),
        Column("rejected", "Rejected", lambda row: row.counts["rejected"], is_number=True),
        Column("unread", "Unread", lambda row: row.counts["unread"], is_number=True),
        Column("calls", "Calls", lambda row: row.sync.calls, ("calls", "id"), is_number=True),
        Column(
            "waited",
            "Waited, seconds",
            lambda row: round(row.sync.waited_seconds),
            ("waited_seconds", "id"),
            is_number=True,
        ),
        Column("error", "Error", lambda row: row.sync.error, is_csv_only=True),
    )

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """The connected sources: slug → name, in the order of the names."""
        slugs = SourceConnection.objects.values("source_slug")
        found = Source.objects.filter(slug__in=slugs, deleted_at__isnull=True).order_by("name")
        return dict(found.values_list("slug", "name"))

    def filters(self) -> Sequence[Filter]:
        return (
            Filter("source", "Source", list(self._names.items())),
            Filter("state", "State", choices_of(Sync.State)),
        )

    def matching(self, asked: ListQuery) -> list[QuerySet[Model]]:
        # The page of a sync belongs to its source: the syncs of a deleted one have none.
        found = Sync.objects.filter(connection__source_slug__in=self._names)
        if source := asked.filters.get("source"):
            found = found.filter(connection__source_slug=source)
        if state := asked.filters.get("state"):
            found = found.filter(state=state)
        for word in asked.search.split():
            slugs = [slug for slug, name in self._names.items() if word.casefold() in name.casefold()]
            found = found.filter(Q(connection__source_slug__in=slugs) | Q(error__icontains=word))
        return [found]

    def related(self, found: QuerySet[Model]) -> QuerySet[Model]:
        return found.select_related("connection").prefetch_related("passes")

    def rows(self, found: Sequence[Sync]) -> Sequence[SyncRow]:
        return [
            SyncRow(sync, self._names[sync.connection.source_slug], sync_variant(sync.state), counts_of(sync))
            for sync in found
        ]

    def more_context(self, listing: Listing) -> Mapping[str, object]:
        return {"crumbs": crumbs()}


class SyncPage(SourceView):
    """One sync: its passes with their counts, and where it is held, the accounts that it would delete."""

    template = "console/sources/sync.html"

    def get(self, request: HttpRequest, sync_id: int) -> HttpResponse:
        sync, source = self.sync(sync_id)
        held = sync.held or {}
        shown = (
            Account.objects.filter(pk__in=held.get("accounts", ())).select_related("user").order_by("login")
        )
        return self.page(
            {
                "title": f"Sync of {shown_time(sync.created_at)}",
                "subtitle": f"{source.name} · {kind_label(sync.connection)}",
                "crumbs": crumbs((source.name, page_url("source", source.slug))),
                "sync": sync,
                "source": source,
                "sync_variant": sync_variant(sync.state),
                "passes": progress_of(sync),
                "held": held,
                "accounts": shown,
                "more": max(held.get("missing", 0) - len(shown), 0),
            }
        )

    def sync(self, sync_id: int) -> tuple[Sync, Source]:
        sync = get_object_or_404(Sync.objects.select_related("connection"), pk=sync_id)
        return sync, self.one(sync.connection.source_slug)


class ReleaseSync(SyncPage):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, sync_id: int) -> HttpResponse:
        sync, source = self.sync(sync_id)
        try:
            release_held(sync, self.member.get_username())
        except SyncRefused as refusal:
            return self.done(str(refusal), page_url("source-one-sync", sync_id), "warning")
        return self.done("The listing is being imported.", page_url("source", source.slug))


class DropSync(SyncPage):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, sync_id: int) -> HttpResponse:
        sync, source = self.sync(sync_id)
        try:
            drop_held(sync, self.member.get_username())
        except SyncRefused as refusal:
            return self.done(str(refusal), page_url("source-one-sync", sync_id), "warning")
        return self.done("The listing is dropped. No account was changed.", page_url("source", source.slug))


urlpatterns = [
    path("integrations/add-source/", AddSource.as_view(), name="source-add"),
    path("integrations/add-source/<slug:kind>/", ConnectSource.as_view(), name="source-new"),
    path("integrations/sources/<slug:slug>/edit", EditConnection.as_view(), name="source-edit"),
    path("integrations/sources/<slug:slug>/test", TestConnection.as_view(), name="source-test"),
    path("integrations/sources/<slug:slug>/sync", SyncNow.as_view(), name="source-sync"),
    path("integrations/sources/<slug:slug>/rotate", RotateToken.as_view(), name="source-rotate"),
    path("integrations/sources/<slug:slug>/passes", Passes.as_view(), name="source-passes"),
    path("integrations/sources/<slug:slug>/pause", PauseSource.as_view(), name="source-pause"),
    path("integrations/sources/<slug:slug>/resume", ResumeSource.as_view(), name="source-resume"),
    path("integrations/syncs/", SyncsPage.as_view(), name="syncs"),
    path("integrations/syncs/<int:sync_id>/", SyncPage.as_view(), name="source-one-sync"),
    path("integrations/syncs/<int:sync_id>/release", ReleaseSync.as_view(), name="source-release"),
    path("integrations/syncs/<int:sync_id>/drop", DropSync.as_view(), name="source-drop"),
]
