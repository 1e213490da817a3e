"""Data sources: the list, one source's page, and what can be done to it: sources of files and connected ones."""

from contextlib import suppress
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Manager, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.text import capfirst

from checks.models import Account, Import, Source, SourceFreshness, SourceKind, Upload
from checks.services import add_source, delete_source, forget_mapping, rename_source
from cii_project.audit.services import Action, record
from cii_project.console.core.console_view import ConsoleView, KeysetPage, Role, guide_url, page_url
from cii_project.console.core.field_labels import label_of
from cii_project.console.core.source_rows import (
    connection_state,
    kind_label,
    lost_labels,
    source_rows,
    variant_of,
)
from cii_project.console.sources.forms import NEW, FileForm, NewFileForm, RenameForm
from cii_project.imports.readings import mapping_of
from cii_project.imports.uploads import fail_if_abandoned, store_upload
from cii_project.scim.views import base_url
from cii_project.sync.status import held_sync, progress_of
from integrations.models import ScimResource, SourceConnection, Sync
from integrations.services import (
    SOURCE_KINDS,
    SourceError,
    UnsealError,
    delete_connection,
    has_lost_source_secrets,
    is_push_kind,
    live_push_tokens,
    secret_expiry,
    unseal,
)

SECTION = "console:integrations"
CRUMBS = [("Integrations", "integrations"), ("Data sources", "sources")]
RECENT = 20
# The session's key for the source that its own page tests when it is shown next ("Save and test").
TESTED_ON_ARRIVAL = "test_source"
# Its key for the token that was just made and waits, sealed, for the one page that shows it: {slug: sealed}.
SHOWN_ONCE = "pushed"
# A sync that nobody has started after this time waits for a cluster.
NO_WORKER_AFTER = timedelta(seconds=90)
SAMPLE = """\
login,email,display_name,employee_id,department,manager,status,user_type,created_at,last_sign_in_at,mfa_enabled,mfa_factors,admin_roles
kim@example.com,kim@example.com,Kim Doe,1001,Finance,lee@example.com,active,internal,2024-03-01,2026-11-02T08:30:00Z,true,push|sms:+15550100,
lee@example.com,lee@example.com,Lee Roe,1002,Finance,,active,internal,2023-05-01,2026-11-03T09:12:00Z,true,fido2,Super Administrator
backup-job,,Backup job,,,,active,service_account,2022-01-15,,false,,
"""


def crumbs(*more: tuple[str, str]) -> list[tuple[str, str]]:
    return [*((text, page_url(name)) for text, name in CRUMBS), *more]


class SourceView(ConsoleView):
    section = SECTION
    guide = "sources"

    def one(self, slug: str) -> Source:
        return get_object_or_404(Source, slug=slug, deleted_at__isnull=True)

    def accept(self, source: Source, form: FileForm) -> HttpResponse | None:
        """Store the file of a valid form and continue with its columns; None, with an error at the field, if
        it cannot be stored."""
        given = form.cleaned_data["file"]
        try:
            upload = store_upload(source, given.name, given.chunks(), self.member)
        except SourceError as error:
            form.add_error("file", f"{capfirst(str(error))}.")
            return None
        record(Action.ACT, source, f"Uploaded {upload.file_name}, {upload.size} bytes.")
        return self.done(
            f"{upload.file_name} is uploaded. Nothing is imported yet.", page_url("upload", upload.pk)
        )


class Sources(SourceView):
    title = "Data sources"
    template = "console/sources/list.html"
    takes_uploads = True

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.answer(NewFileForm(initial={"source": request.GET.get("source")}))

    def answer(self, form: NewFileForm) -> HttpResponse:
        context = {
            "form": form,
            "rows": source_rows(),
            "imports": Import.objects.select_related("source")[:RECENT],
            "uploads": waiting_uploads(Upload.objects.all()),
            "subtitle": "Identity providers and HR systems whose accounts the checks read.",
            "crumbs": [("Integrations", page_url("integrations"))],
        }
        return self.page(context)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = NewFileForm(request.POST, request.FILES)
        if not form.is_valid():
            return self.answer(form)
        given = form.cleaned_data
        if given["source"] != NEW:
            return self.accept(self.one(given["source"]), form) or self.answer(form)
        is_new = not Source.objects.filter(slug=given["slug"]).exists()
        try:
            source = add_source(
                slug=given["slug"],
                name=given["name"] or given["slug"],
                kind=given["kind"] or SourceKind.IDENTITY,
                provider=(given["provider"] or "FILE").upper(),
            )
        except ValidationError as error:
            for name, texts in error.message_dict.items():
                form.add_error(name if name in form.fields else "slug", texts)
            return self.answer(form)
        answer = self.accept(source, form)
        if answer is None and is_new:
            # Without its file a new source would be left empty.
            record(Action.DELETE, source, "Removed: its first file could not be read.")
            source.delete()
        return answer or self.answer(form)


def waiting_uploads(uploads: Manager[Upload] | QuerySet[Upload]) -> list[Upload]:
    """The uploads that are not imported yet, newest first."""
    waiting = list(uploads.exclude(state=Upload.State.DONE).select_related("source", "created_by")[:RECENT])
    for upload in waiting:
        fail_if_abandoned(upload)
    return waiting


class OneSourcePage(SourceView):
    template = "console/sources/source.html"
    takes_uploads = True

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        return self.answer(self.one(slug), FileForm())

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source, form = self.one(slug), FileForm(request.POST, request.FILES)
        if not form.is_valid():
            return self.answer(source, form)
        return self.accept(source, form) or self.answer(source, form)

    def answer(self, source: Source, form: FileForm) -> HttpResponse:
        mapping = mapping_of(source)
        counts = Account.objects.filter(source=source).aggregate(
            all=Count("id"), deleted=Count("id", filter=Q(status="deleted"))
        )
        page = KeysetPage.of(
            Import.objects.filter(source=source),
            order=["-id"],
            cursor=self.request.GET.get("page"),
            size=RECENT,
        )
        connection = SourceConnection.objects.filter(source_slug=source.slug).first()
        is_push = connection is not None and is_push_kind(connection.kind)
        columns = mapping.columns.items() if mapping else ()
        words = mapping.words.items() if mapping else ()
        return self.page(
            {
                **(connected_context(connection) if connection else {}),
                **(self.push_context(connection) if connection and is_push else {}),
                "title": source.name,
                "is_test_due": self.request.session.pop(TESTED_ON_ARRIVAL, None) == source.slug,
                "subtitle": f"{source.get_kind_display()} · {source.provider} · {source.slug}",
                "crumbs": crumbs(),
                "source": source,
                "form": form,
                "live": counts["all"] - counts["deleted"],
                "deleted": counts["deleted"],
                "lost": lost_labels(source),
                "last": next(iter(page.rows), None) if not self.request.GET.get("page") else None,
                "page": page,
                "imports": [(one, variant_of(one.state)) for one in page.rows],
                "uploads": waiting_uploads(source.uploads),
                "mapping": mapping,
                "columns": [(column, label_of(field)) for column, field in columns if field],
                "words": [
                    (label_of(field), word, meaning.replace("_", " "))
                    for field, meanings in words
                    for word, meaning in meanings.items()
                ],
            },
            template="console/sources/pushed.html"
            if is_push
            else "console/sources/connected.html"
            if connection
            else "",
        )

    def push_context(self, connection: SourceConnection) -> dict[str, object]:
        """What the page of a source that pushes shows beside."""
        slug = connection.source_slug
        sealed = self.request.session.get(SHOWN_ONCE, {}).get(slug)
        token = ""
        if sealed:
            del self.request.session[SHOWN_ONCE]
            with suppress(UnsealError):
                # FIELD_KEYS may have changed since: another can be made by a rotation.
                token = str(unseal(sealed))
        users = ScimResource.objects.filter(connection=connection)
        return {
            "is_push": True,
            "guide_url": guide_url(f"sources/{connection.kind}"),
            "base_url": base_url(self.request, slug),
            "token": token,
            "tokens": live_push_tokens(connection),
            "waiting": users.filter(is_pending=True).count(),
            "groups": users.filter(kind=ScimResource.Kind.GROUP).count(),
        }


def connected_context(connection: SourceConnection) -> dict[str, object]:
    """The context of a source's page about its connection."""
    now = timezone.now()
    syncs = list(connection.syncs.prefetch_related("passes")[:RECENT])
    newest = syncs[0] if syncs else None
    kind = SOURCE_KINDS.get(connection.kind)
    return {
        "connection": connection,
        "kind": kind,
        "kind_label": kind_label(connection),
        "state": connection_state(connection, newest),
        "described": kind.describe(connection.settings) if kind else [],
        "newest": newest,
        "now": now,
        "no_worker": bool(newest and not newest.calls and now - newest.created_at > NO_WORKER_AFTER),
        "passes": progress_of(newest) if newest else [],
        "held_sync": held_sync(connection),
        "syncs": [(sync, sync_variant(sync.state), counts_of(sync)) for sync in syncs],
        "freshness": SourceFreshness.objects.filter(source__slug=connection.source_slug).order_by("group"),
        "expiry": secret_expiry(connection, timezone.localdate(now)),
        "is_lost": has_lost_source_secrets(connection),
    }


def sync_variant(state: str) -> str:
    """The badge of a sync's state."""
    found = {
        "succeeded": "success",
        "running": "info",
        "partial": "warning",
        "held": "danger",
        "failed": "danger",
    }
    return found.get(state, "plain")


def counts_of(sync: Sync) -> dict[str, int]:
    """Counts of a sync: seen, created, deleted and rejected of the listing; changed over all passes."""
    passes = list(sync.passes.all())
    listing = next((each for each in passes if each.position == 0), None)
    names = ("created", "deleted", "rejected")
    return {
        "seen": listing.records if listing else 0,
        **{name: getattr(listing, name) if listing else 0 for name in names},
        # The other passes write to each new account too; these writes are not counted as changes.
        "changed": sum(
            each.changed if each is listing else max(each.changed - (listing.created if listing else 0), 0)
            for each in passes
        ),
        "unread": sum(each.state == "failed" for each in passes),
    }


class Rename(SourceView):
    role = write_role = Role.ENGINEER
    template = "console/sources/rename_dialog.html"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        form = RenameForm(source)
        return self.fragment(self.template, {"source": source, "form": form})

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        form = RenameForm(source, request.POST)
        if form.is_valid():
            try:
                rename_source(source, form.cleaned_data["name"])
            except ValidationError as error:
                form.add_error("name", error.messages)
            else:
                return self.done(
                    f"The source is called “{source.name}” now.", page_url("source", source.slug)
                )
        return self.fragment(self.template, {"source": source, "form": form})


class Delete(SourceView):
    role = write_role = Role.ENGINEER

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        live = Account.objects.filter(source=source).exclude(status="deleted").count()
        connection = SourceConnection.objects.filter(source_slug=slug).first()
        context = {
            "source": source,
            "live": live,
            "imports": source.imports.count(),
            "connection": connection,
            "kind_label": kind_label(connection) if connection else "",
            "is_push": bool(connection and is_push_kind(connection.kind)),
        }
        return self.fragment("console/sources/delete_dialog.html", context)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        with transaction.atomic():
            if connection := SourceConnection.objects.filter(source_slug=slug).first():
                delete_connection(connection)
            count = delete_source(source)
        text = f"“{source.name}” is deleted, with {count:,} account{'' if count == 1 else 's'}."
        return self.done(text, page_url("sources"))


class ForgetMapping(SourceView):
    write_role = Role.ENGINEER
    http_method_names = ("post",)

    def post(self, request: HttpRequest, slug: str) -> HttpResponse:
        source = self.one(slug)
        forget_mapping(source)
        return self.done(
            "The columns and words of its next file are guessed again.", page_url("source", slug)
        )


class SampleFile(SourceView):
    """A small file with the product's own columns."""

    http_method_names = ("get",)

    def get(self, request: HttpRequest) -> HttpResponse:
        answer = HttpResponse(SAMPLE.encode(), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="sample-accounts.csv"'
        return answer


urlpatterns = [
    path("integrations/sources/", Sources.as_view(), name="sources"),
    path("integrations/sample-accounts.csv", SampleFile.as_view(), name="source-sample"),
    path("integrations/sources/<slug:slug>/", OneSourcePage.as_view(), name="source"),
    path("integrations/sources/<slug:slug>/rename", Rename.as_view(), name="source-rename"),
    path("integrations/sources/<slug:slug>/delete", Delete.as_view(), name="source-delete"),
    path("integrations/sources/<slug:slug>/forget", ForgetMapping.as_view(), name="source-forget"),
]
