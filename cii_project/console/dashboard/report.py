"""The report as page and as CSV (cii_project/reporting/report.py counts)."""

from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.urls import path

from cii_project.audit.models import Action
from cii_project.audit.services import record
from cii_project.console.core.console_view import ConsoleView, Role
from cii_project.console.core.csv_export import csv_response
from cii_project.console.core.form_parts import apply_unfold_look, form_helper
from cii_project.console.core.form_versions import FIELD as VERSION, VersionedForm
from cii_project.reporting.report import PERIODS, GroupLine, Line, ReportFigures, read_period, report
from notifications.models import Configuration, ReportPeriod
from notifications.services import report_addresses, update_configuration

CSV_HEADER = (
    "part",
    "name",
    "severity",
    "open_before",
    "opened",
    "no_longer_failing",
    "open_after",
    "could_not_evaluate",
    "failing_users_before",
    "failing_users",
    "users",
)


class ReportPage(ConsoleView):
    title = "Report"
    template = "console/dashboard/report.html"
    section = "console:report"
    guide = "console#report"

    def get(self, request: HttpRequest) -> HttpResponse:
        configuration = Configuration.load()
        period = read_period(request.GET)
        found = report(period)
        names = [name for name, _ in found["frameworks"]]
        framework = request.GET.get("framework", "")
        unknown = framework if framework and framework not in names else ""
        query = request.GET.copy()
        query.pop("framework", None)
        return self.page(
            {
                **found,
                "periods": PERIODS,
                "query": query.urlencode(),
                "framework_names": names,
                "framework": "" if unknown else framework,
                "unknown_framework": unknown[:64],
                "controls": dict(found["frameworks"]).get(framework, []),
                "mailed": bool(configuration.report_every),
                "tenant_name": configuration.tenant_name,
            }
        )


class ReportExport(ConsoleView):
    section = "console:report"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        period = read_period(request.GET)
        record(Action.EXPORT, None, f"Exported the report from {period.first} to {period.last} as CSV.")
        return csv_response(csv_rows(report(period)), f"report-{period.first}-{period.last}.csv")


class ReportMailForm(VersionedForm, forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes none at run time
    class Meta:
        model = Configuration
        fields = ["report_every", "report_recipients"]
        labels = {"report_every": "How often", "report_recipients": "Recipients"}
        help_texts = {"report_recipients": "E-mail addresses, with commas or line breaks between them."}
        widgets = {"report_recipients": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, data: QueryDict | None = None, *, instance: Configuration) -> None:
        super().__init__(data, instance=instance)
        self.fields["report_every"].choices = [("", "Never"), *ReportPeriod.choices]  # type: ignore[attr-defined]
        apply_unfold_look(self)
        self.lock({name: getattr(self.instance, name) for name in self.Meta.fields}, self.instance)
        self.helper = form_helper(VERSION, *self.Meta.fields)

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("report_every") and not given.get("report_recipients") and not self.errors:
            self.add_error("report_recipients", "Write at least one address, or choose “Never”.")
        return given


class ReportMail(ConsoleView):
    """The dialog that says who gets the report by e-mail, and how often."""

    role = write_role = Role.ENGINEER
    section = "console:report"
    template = "console/dashboard/report_mail.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._dialog(ReportMailForm(instance=Configuration.load()))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ReportMailForm(request.POST, instance=Configuration.load())
        if not form.is_valid():
            return self._dialog(form)
        update_configuration({name: form.cleaned_data[name] for name in form.Meta.fields})
        number = len(report_addresses(Configuration.load()))
        if not form.cleaned_data["report_every"]:
            return self.refreshed("The report is not sent by e-mail.")
        return self.refreshed(f"The report is sent to {number} recipient{'' if number == 1 else 's'}.")

    def _dialog(self, form: ReportMailForm) -> HttpResponse:
        return self.fragment(self.template, {"form": form, "configuration": Configuration.load()})


def csv_rows(found: ReportFigures) -> Iterator[Sequence[object]]:
    """Every table of the report, one below the other; ``part`` names the table. Findings have no users, groups no
    opened ones: these cells are empty."""
    yield CSV_HEADER
    yield _line("total", "", found["total"])
    users_before, users_after = found["users_before"], found["users_after"]
    if users_after:
        yield (
            "users", "", "", "", "", "", "", "",
            users_before.failing if users_before else "", users_after.failing, users_after.users,
        )  # fmt: skip
    for part, lines in (("severity", found["severities"]), ("topic", found["topics"])):
        yield from (_line(part, "", line) for line in lines)
    for one in found["lines"]:
        yield _line("check", one.severity, one.line, one.slug)
    for part, groups in (("department", found["departments"]), ("source", found["sources"])):
        yield from (_group(part, group) for group in groups)
    for framework, controls in found["frameworks"]:
        yield from (_line(framework, "", line) for line in controls)


def _line(part: str, severity: str, line: Line, name: str = "") -> Sequence[object]:
    before = "" if line.before is None else line.before
    return (
        part,
        name or line.title,
        severity,
        before,
        line.opened,
        line.ended,
        line.after,
        line.unknown,
        "",
        "",
        "",
    )


def _group(part: str, group: GroupLine) -> Sequence[object]:
    before = "" if group.failing_before is None else group.failing_before
    return (part, group.title, "", "", "", "", group.findings, "", before, group.failing_users, group.users)


urlpatterns = [
    path("report/", ReportPage.as_view(), name="report"),
    path("report/mail", ReportMail.as_view(), name="report-mail"),
    path("report/report.csv", ReportExport.as_view(), name="report-export"),
]
