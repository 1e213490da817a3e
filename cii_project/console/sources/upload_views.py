"""An uploaded file on its way: its columns, its words, the dry run, the import."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils import timezone
from django.utils.text import capfirst

from checks.models import Upload
from checks.services import MappingError, save_mapping
from cii_project.audit.services import Action, record
from cii_project.console.core.console_view import ConsoleView, Role, page_url
from cii_project.console.core.field_labels import label_of
from cii_project.console.core.roles import role_of
from cii_project.console.core.run_progress import WORKER_EXPECTED
from cii_project.console.sources.forms import ColumnsForm, ImportForm, WordsForm
from cii_project.console.sources.views import SECTION, crumbs
from cii_project.imports.readings import columns_of, mapping_of, preview_file
from cii_project.imports.upload_tasks import (
    CHECK,
    OPTIONS,
    request_again,
    request_check,
    request_import,
)
from cii_project.imports.uploads import BUSY, fail_if_abandoned, has_content
from integrations.services import JsonMapping, SourceError

REQUEST_AGAIN = timedelta(minutes=1)
STEPS = ("File", "Columns", "Words", "Dry run", "Import")


class UploadView(ConsoleView):
    section = SECTION
    guide = "importing#in-the-browser"
    role = Role.OPERATOR
    write_role = Role.OPERATOR

    def one(self, pk: UUID) -> Upload:
        found = Upload.objects.select_related("source", "result")
        upload = get_object_or_404(found, pk=pk, source__deleted_at__isnull=True)
        fail_if_abandoned(upload)
        return upload

    @property
    def may_map(self) -> bool:
        return role_of(self.request.user) >= Role.ENGINEER

    def home(self, upload: Upload, step: str = "") -> HttpResponse:
        return redirect(page_url("upload", upload.pk) + (f"?step={step}" if step else ""))

    def step(self, upload: Upload, step: int, template: str, context: Mapping[str, object]) -> HttpResponse:
        return self.page(
            {
                "title": upload.file_name,
                "subtitle": f"Import into {upload.source.name}",
                "crumbs": crumbs((upload.source.name, page_url("source", upload.source.slug))),
                "upload": upload,
                "steps": [(name, number < step, number == step) for number, name in enumerate(STEPS, 1)],
                "may_map": self.may_map,
                **context,
            },
            template=f"console/sources/{template}.html",
        )

    def columns_form(self, upload: Upload, data: QueryDict | None = None) -> ColumnsForm:
        preview = preview_file(upload)
        return ColumnsForm(
            data,
            preview=preview,
            columns=columns_of(upload, preview),
            mapping=mapping_of(upload.source),
            may_change=self.may_map,
        )

    def columns_page(self, upload: Upload, form: ColumnsForm) -> HttpResponse:
        known = set(form.mapping.columns) if form.mapping else set()
        return self.step(
            upload,
            2,
            "columns",
            {
                "form": form,
                "selects": [(select, str(select.value() or "")) for select in form.selects],
                "rows": form.preview.rows,
                "layout": form.preview.layout,
                "has_login": any(select.initial == "login" for select in form.selects),
                "is_kept": bool(known & set(form.preview.columns)),
            },
        )

    def unreadable(self, upload: Upload, error: SourceError) -> HttpResponse:
        return self.step(upload, 2, "unreadable", {"error": capfirst(str(error))})

    def words_form(self, upload: Upload, data: QueryDict | None = None) -> WordsForm:
        words = (upload.preview or {}).get("unknown_words", [])
        return WordsForm(data, words=words, may_change=self.may_map)

    def words_page(self, upload: Upload, form: WordsForm) -> HttpResponse:
        others = [(label_of(word["field"]), word["word"], word["count"]) for word in form.others]
        more = (upload.preview or {}).get("more_words", 0)
        return self.step(upload, 3, "words", {"form": form, "others": others, "more": more})

    def check_page(self, upload: Upload, form: ImportForm | None = None) -> HttpResponse:
        preview = upload.preview or {}
        form = form or import_form(preview)
        context = {
            "preview": preview,
            "form": form,
            "kept": preview["read"] - preview["rejected"],
            "unread": [label_of(name) for name in preview["unread_fields"]],
            "warnings": [(label_of(each["field"]), each["text"]) for each in preview["warnings"]],
        }
        return self.step(upload, 4, "check", context)


def import_form(preview: JsonMapping, data: QueryDict | None = None) -> ImportForm:
    return ImportForm(data, must_force=preview["must_force"], has_unread=bool(preview["unread_fields"]))


class UploadPage(UploadView):
    """The step that an upload has come to; ``step`` in the query goes back to an earlier one."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        upload, step = self.one(pk), request.GET.get("step", "")
        if upload.state == Upload.State.DONE:
            return redirect(page_url("import", upload.result_id) if upload.result_id else page_url("sources"))
        if upload.state in BUSY:
            return self.step(upload, _step_at_work(upload), "working", _progress(upload))
        if not has_content(upload):
            error = SourceError("the file is no longer stored: files are kept for 24 hours. Upload it again.")
            return self.unreadable(upload, error)
        if upload.preview is None or step == "columns":
            try:
                return self.columns_page(upload, self.columns_form(upload))
            except SourceError as error:
                return self.unreadable(upload, error)
        form = self.words_form(upload)
        if step == "words" or (form.words and not upload.options.get("words_seen") and step != "check"):
            return self.words_page(upload, form)
        return self.check_page(upload)


def _step_at_work(upload: Upload) -> int:
    return 4 if upload.options.get("task") == CHECK else 5


def _waited(upload: Upload) -> timedelta:
    return timezone.now() - (upload.heartbeat_at or upload.created_at)


def _progress(upload: Upload) -> dict[str, object]:
    """The context of the progress fragment."""
    is_check = upload.options.get("task") == CHECK
    total = 0 if is_check else (upload.preview or {}).get("read", 0)
    return {
        "upload": upload,
        "is_check": is_check,
        "total": total,
        "percent": min(round(100 * upload.records_read / total), 100) if total else 0,
        "no_worker": upload.state == Upload.State.QUEUED and _waited(upload) > WORKER_EXPECTED,
    }


class UploadProgress(UploadView):
    """The fragment that the page polls while a worker is busy; afterwards it leads to the result."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        upload = self.one(pk)
        if upload.state not in BUSY:
            return HttpResponse(status=204, headers={"HX-Redirect": page_url("upload", pk)})
        if upload.state == Upload.State.QUEUED and _waited(upload) > REQUEST_AGAIN:
            request_again(upload)
        return self.fragment("console/sources/progress.html", _progress(upload))


class UploadColumns(UploadView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        upload = self.one(pk)
        if upload.state in (*BUSY, Upload.State.DONE):
            return self.home(upload)
        try:
            form = self.columns_form(upload, request.POST)
        except SourceError as error:
            return self.unreadable(upload, error)
        if not form.is_valid():
            return self.columns_page(upload, form)
        if self.may_map:
            given = form.cleaned_data
            try:
                save_mapping(
                    upload.source, columns=form.chosen, date_order=given["date_order"], zone=given["zone"]
                )
            except MappingError as error:
                form.add_error("zone" if "zone" in str(error) else None, str(error))
                return self.columns_page(upload, form)
        request_check(upload, self.member)
        return self.home(upload)


class UploadWords(UploadView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        upload = self.one(pk)
        if upload.state in (*BUSY, Upload.State.DONE) or upload.preview is None:
            return self.home(upload)
        form = self.words_form(upload, request.POST)
        if not form.is_valid():
            return self.words_page(upload, form)
        if self.may_map and form.chosen:
            try:
                save_mapping(upload.source, words=form.chosen)
            except MappingError as error:
                form.add_error(None, str(error))
                return self.words_page(upload, form)
            request_check(upload, self.member, words_seen=True)
            return self.home(upload)
        return self.home(upload, "check")


class UploadImport(UploadView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        upload = self.one(pk)
        if upload.state in (*BUSY, Upload.State.DONE) or upload.preview is None:
            return self.home(upload)
        form = import_form(upload.preview, request.POST)
        if not form.is_valid():
            return self.check_page(upload, form)
        options = {name: bool(form.cleaned_data.get(name)) for name in OPTIONS}
        if request_import(upload, self.member, **options):
            asked = ", ".join(name for name, value in options.items() if value)
            record(
                Action.ACT, upload.source, f"Import of {upload.file_name} started{asked and f': {asked}'}."
            )
        return self.home(upload)


class UploadCheckAgain(UploadView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        upload = self.one(pk)
        request_check(upload, self.member, words_seen=bool(upload.options.get("words_seen")))
        return self.home(upload)


class UploadDiscard(UploadView):
    http_method_names = ("post",)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        upload = self.one(pk)
        if upload.state == Upload.State.RUNNING:
            return self.home(upload)
        if upload.state != Upload.State.DONE:
            record(Action.DELETE, upload.source, f"Discarded {upload.file_name} without importing it.")
            upload.delete()
        return self.done(f"{upload.file_name} is discarded.", page_url("source", upload.source.slug))


urlpatterns = [
    path("integrations/files/<uuid:pk>/", UploadPage.as_view(), name="upload"),
    path("integrations/files/<uuid:pk>/progress", UploadProgress.as_view(), name="upload-progress"),
    path("integrations/files/<uuid:pk>/columns", UploadColumns.as_view(), name="upload-columns"),
    path("integrations/files/<uuid:pk>/words", UploadWords.as_view(), name="upload-words"),
    path("integrations/files/<uuid:pk>/check", UploadCheckAgain.as_view(), name="upload-check"),
    path("integrations/files/<uuid:pk>/import", UploadImport.as_view(), name="upload-import"),
    path("integrations/files/<uuid:pk>/discard", UploadDiscard.as_view(), name="upload-discard"),
]
