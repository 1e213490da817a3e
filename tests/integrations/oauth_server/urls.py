from django.http import HttpRequest, HttpResponse
from django.urls import path
from oauth2_provider.views import TokenView


def ready(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ready")


urlpatterns = [path("o/token/", TokenView.as_view()), path("ready", ready)]
