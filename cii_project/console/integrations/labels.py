"""Labels, badges and advice for integrations and deliveries."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from cii_project.console.core.viewer_zone import recent_time
from integrations.models import Integration
from integrations.services import KINDS, NO_TOKEN
from notifications.models import Attempt, Delivery


@dataclass(frozen=True, slots=True)
class Badge:
    text: str
    variant: str
    icon: str


def state_badge(integration: Integration, now: datetime | None = None) -> Badge:
    now = now or timezone.now()
    if integration.state == Integration.State.DISABLED:
        return Badge("Disabled", "danger", "block")
    if integration.state == Integration.State.PAUSED:
        return Badge("Paused", "warning", "pause_circle")
    if integration.failing_since:
        return Badge(f"Failing since {recent_time(integration.failing_since, now)}", "danger", "error")
    if integration.last_success_at:
        return Badge("Healthy", "success", "check_circle")
    return Badge("Nothing sent yet", "plain", "schedule")


def kind_label(integration: Integration) -> str:
    kind = KINDS.get(integration.kind)
    return kind.label if kind else integration.kind


def setting_warnings(integration: Integration) -> list[str]:
    """Warnings about what its settings allow, such as plain http."""
    kind = KINDS.get(integration.kind)
    return kind.warnings(integration.settings) if kind else []


def kind_logo(integration: Integration) -> str:
    """The static path of the logo of its kind."""
    kind = KINDS.get(integration.kind)
    return kind.logo if kind else "console/icon.svg"


def delivery_advice(delivery: Delivery, attempt: Attempt | None) -> str:
    """Advice for a delivery that failed; empty if it was delivered."""
    if delivery.state == Delivery.State.DELIVERED:
        return ""
    return attempt_advice(delivery.status_code, delivery.reason)


def attempt_advice(status: int | None, reason: str) -> str:
    """Advice for an attempt that failed with this status (None: no answer) and reason."""
    if reason.startswith(NO_TOKEN):
        return _token_advice(status, reason)
    if "FIELD_KEYS" in reason:
        return "Enter the secrets again under Edit, or add the key that sealed them to FIELD_KEYS."
    if status is None:
        return _without_answer(reason.lower())
    return ADVICE_BY_STATUS.get(status) or _by_class(status)


def _token_advice(status: int | None, reason: str) -> str:
    if status is None and any(
        word in reason for word in ("TLS", "certificate", "resolve", "must not be called")
    ):
        return _without_answer(reason.lower())
    if status == 429 or (status or 0) >= 500:
        return "The authorization endpoint has an internal error. The token is requested again automatically."
    return "No token was issued: check the authorization endpoint, client id and secret, and how the client authenticates."


ADVICE_BY_STATUS = {
    400: "The receiver does not take this body. Compare what it expects with the event's schema (docs/contract.md).",
    401: "The receiver does not accept the credentials. Enter them again under Edit; they are never shown.",
    403: "The credentials are known but may not do this. Check their rights at the receiver.",
    404: "Nothing is at this address. Check the URL's path, and that the flow or webhook there is switched on.",
    405: "The receiver does not take this method. Choose POST, PUT or PATCH under Edit.",
    407: "A proxy asks for credentials. Check the address, or OUTGOING_PROXY in the settings.",
    410: "The receiver says that this address no longer exists. Create a new address there and enter it under Edit, then resume.",
    413: "The body is too large for the receiver. Lower “Users in one event” under Settings.",
    415: "The receiver does not take JSON at this address. Check the URL.",
    429: "The receiver limits the rate. Set “Requests per second” under Edit; messages are retried by themselves.",
}


def _by_class(status: int) -> str:
    if status < 400:
        return "The receiver redirects, and redirects are not followed. Write the final address under Edit."
    if status < 500:
        return "The receiver refuses the request. The start of its answer below may say why."
    return (
        "The receiver has an internal error. Messages are retried by themselves; look at its log if it lasts."
    )


# Words of a reason in lower case, any of which calls for the advice; the first row that matches counts.
ADVICE_WITHOUT_ANSWER = (
    (
        ("without tls",),
        "The port does not speak TLS. Correct the URL or the port under Edit; a certificate does not help here.",
    ),
    (
        ("start tls",),
        "The port may not speak TLS, or the receiver is overloaded. Check the URL's scheme and port under Edit.",
    ),
    (
        ("plain http",),
        "Write the URL with https:// under Edit. Where the receiver knows http only, “Allow plain http” there allows it.",
    ),
    (
        ("outgoing_hosts", "denied_networks"),
        "An administrator has restricted where requests may go. Ask for the host or network to be opened.",
    ),
    (
        ("allowed_networks", "not a public", "private"),
        "The address is not on the public internet. An administrator can open it by the entry that the reason names.",
    ),
    (
        ("certificate has expired", "hostname mismatch", "ip address mismatch"),
        "The receiver's certificate does not hold for this address now. Its operator has to renew it, or the URL needs "
        "the name that it is made for.",
    ),
    (
        ("certificate of",),
        "The certificate could not be verified. For a private authority, paste its PEM under Edit → certificates.",
    ),
    (
        ("certificate", "tls"),
        "TLS failed. The receiver may ask for a client certificate (Edit → certificates), or know only versions before "
        "TLS 1.2.",
    ),
    (
        ("time", "answer within"),
        "No answer in time. Check that the receiver runs; under Edit the time may be raised to 30 seconds.",
    ),
    (
        ("name", "resolve", "dns"),
        "The host name is not known. Check the URL's spelling and this machine's DNS.",
    ),
)


def _without_answer(reason: str) -> str:
    for words, advice in ADVICE_WITHOUT_ANSWER:
        if any(word in reason for word in words):
            return advice
    return "No connection. Check the URL's host and port, and that a firewall lets this machine through."
