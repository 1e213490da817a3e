"""The text of one delivery, as its recipient reads it."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path

from cii_project.console.core.console_view import ConsoleView
from cii_project.console.core.titles import event_title
from cii_project.console.deliveries.sent_request import SHOWN_CHARACTERS, recipient_text
from notifications.models import Delivery


class ReadMessage(ConsoleView):
    """The dialog with the text."""

    section = "console:deliveries"
    template = "console/deliveries/read_message.html"

    def get(self, request: HttpRequest, delivery_id: UUID) -> HttpResponse:
        delivery = get_object_or_404(
            Delivery.objects.select_related("integration", "event__check_ref", "recipient"), id=delivery_id
        )
        text = recipient_text(delivery)
        return self.fragment(
            self.template,
            {
                "delivery": delivery,
                "about": event_title(delivery.event),
                "text_sent": text,
                "cut": len(text) >= SHOWN_CHARACTERS,
            },
        )


urlpatterns = [path("deliveries/<uuid:delivery_id>/message", ReadMessage.as_view(), name="delivery-message")]
