"""One search over everything: the dialog of the top bar (Ctrl+K), and a page for browsers without scripts."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from cii_project.console.core.console_view import ConsoleView
from cii_project.console.core.roles import role_of
from cii_project.console.search.results import find

LONGEST = 200


class SearchPage(ConsoleView):
    title = "Search"
    template = "console/search/page.html"
    guide = "console#search"

    def get(self, request: HttpRequest) -> HttpResponse:
        text = request.GET.get("q", "").replace("\0", "")[:LONGEST]
        context = {"q": text.strip(), "groups": find(text, role_of(request.user))}
        if self.is_htmx:
            return self.fragment("console/search/results.html", context)
        return self.page(context)


urlpatterns = [path("search/", SearchPage.as_view(), name="search")]
