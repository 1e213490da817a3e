"""The documentation of this version, below /docs/, for all members: pages and forms link to their guide there."""

from typing import NoReturn

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from cii_project.console.core.console_view import ConsoleView, page_url
from cii_project.documentation.pages import DocumentationPage, find_page, picture, sections


class DocumentationView(ConsoleView):
    template = "console/documentation/page.html"
    section = "console:docs"

    def get(self, request: HttpRequest, page: str = "") -> HttpResponse:
        found = find_page(page)
        if found is None:
            _not_found(page)
        return self.page(
            {
                "title": found.title,
                "crumbs": self._crumbs(found),
                "guide_url": "",
                "document": found,
                "sections": sections(),
            }
        )

    def _crumbs(self, found: DocumentationPage) -> list[tuple[str, str]]:
        return [("Documentation", page_url("docs"))] if found.path else []


class DocumentationPicture(ConsoleView):
    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        file = picture(name)
        if file is None:
            _not_found(name)
        return HttpResponse(file.read_bytes(), content_type="image/png")


def _not_found(name: str) -> NoReturn:
    raise Http404(f"The documentation has no page “{name}”. Its first page lists them all.")


urlpatterns = [
    path("docs/", DocumentationView.as_view(), name="docs"),
    path("docs/screenshots/<str:name>", DocumentationPicture.as_view(), name="docs-picture"),
    path("docs/<path:page>/", DocumentationView.as_view(), name="docs-page"),
]
