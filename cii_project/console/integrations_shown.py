"""How an integration and an attempt are put into words and badges."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from integrations.models import Integration
from integrations.targets import KINDS
from notifications.models import Attempt, Delivery


@dataclass(frozen=True, slots=True)
class Badge:
    text: str
    variant: str
    icon: str


def state_of(integration: Integration, now: datetime | None = None) -> Badge:
    now = now or timezone.now()
    if integration.state == Integration.State.DISABLED:
        return Badge("Disabled", "danger", "block")
    if integration.state == Integration.State.PAUSED:
        return Badge("Paused", "warning", "pause_circle")
    if integration.failing_since:
        since = integration.failing_since
        text = f"{since:%H:%M} UTC" if now - since < timedelta(hours=20) else f"{since:%-d %b}"
        return Badge(f"Failing since {text}", "danger", "error")
    if integration.last_success_at:
        return Badge("Healthy", "success", "check_circle")
    return Badge("Nothing sent yet", "plain", "schedule")


def kind_label(integration: Integration) -> str:
    kind = KINDS.get(integration.kind)
    return kind.label if kind else integration.kind


def logo(kind: str) -> str:
    """The static path of the logo of a kind, or of a preset of the webhook."""
    return f"console/logos/{kind}.svg"


def advice(delivery: Delivery, attempt: Attempt | None) -> str:
    """What to do about a try that did not arrive; empty where it did."""
    if delivery.state == Delivery.State.DELIVERED:
        return ""
    status = delivery.status_code
    if attempt and attempt.token_step and status is None:
        return "The token could not be had: check the authorization endpoint, client id and secret, and how the client authenticates."
    if status is None:
        return _without_answer(delivery.reason.lower())
    return BY_STATUS.get(status) or _by_class(status)


BY_STATUS = {
    400: "The receiver does not take this body. Compare what it expects with the event's schema (docs/contract.md).",
    401: "The receiver does not accept the credentials. Write them anew under Edit; they are never shown.",
    403: "The credentials are known but may not do this. Check their rights at the receiver.",
    404: "Nothing is at this address. Check the URL's path, and that the flow or webhook there is switched on.",
    405: "The receiver does not take this method. Choose POST, PUT or PATCH under Edit.",
    407: "A proxy asks for credentials. Check the address, or OUTGOING_PROXY in the settings.",
    410: "The receiver says this address is gone for good. Make a new address there and write it under Edit, then resume.",
    413: "The body is too large for the receiver. Lower “Users in one event” under Settings.",
    415: "The receiver does not take JSON at this address. Check the URL.",
    429: "The receiver asks for patience. Set “Requests per second” under Edit; messages are retried by themselves.",
}


def _by_class(status: int) -> str:
    if status < 400:
        return "The receiver sends elsewhere, and redirects are not followed. Write the final address under Edit."
    if status < 500:
        return "The receiver refuses the request. The beginning of its answer below may say why."
    return "The receiver has a problem of its own. Messages are retried by themselves; look at its log if it lasts."


def _without_answer(reason: str) -> str:
    if "allowed_networks" in reason or "not a public" in reason or "private" in reason:
        return "The address lies in a private network. An administrator can allow it by its CIDR in ALLOWED_NETWORKS."
    if "certificate" in reason or "tls" in reason:
        return "The certificate could not be verified. For a private authority, paste its PEM under Edit → certificates."
    if "time" in reason or "answer within" in reason:
        return "No answer in time. Check that the receiver runs; under Edit the time may be raised to 30 seconds."
    if "name" in reason or "resolve" in reason or "dns" in reason:
        return "The host name is not known. Check the URL's spelling and this machine's DNS."
    return "No connection. Check the URL's host and port, and that a firewall lets this machine through."
