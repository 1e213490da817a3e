from django.http import HttpRequest, HttpResponse
from django.urls import path

from cii_project.console.base import ConsoleView


class Dashboard(ConsoleView):
    title = "Dashboard"
    template = "console/dashboard/page.html"
    section = "console:dashboard"

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page()


urlpatterns = [path("", Dashboard.as_view(), name="dashboard")]
