"""From a check and its users to the bytes for one target: the contract's event, rendered by the kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from liquid import BoundTemplate

from checks import catalogue, explanations
from checks.models import Check, User
from integrations import targets
from integrations.models import Integration
from integrations.services import target_of
from integrations.targets.base import Rendered, Target, TargetKind
from notifications import letters, messages, payloads, quiet
from notifications.models import Audience, Configuration, Event, MessageTemplate


@dataclass(frozen=True, slots=True)
class Occasion:
    """What all messages of one event share."""

    event: Event
    tenant: payloads.Tenant
    text: payloads.CheckText
    link: str
    max_users: int
    awake_at: datetime  # when people may be written to: now, or the end of the quiet hours
    still_failing: int = 0

    @property
    def resolved(self) -> bool:
        return self.event.origin == Event.Origin.RESOLVED

    @property
    def test(self) -> bool:
        return self.event.origin == Event.Origin.TEST


@dataclass(frozen=True, slots=True)
class Destination:
    """One target on its way to be written to; ``template`` is the customised message, if any."""

    integration: Integration
    kind: TargetKind
    target: Target
    audience: str
    template: BoundTemplate | None
    template_error: str = ""

    @property
    def users_per_request(self) -> int | None:
        asked = getattr(self.kind, "users_per_request", None)
        return asked(self.target) if asked else None


@dataclass(frozen=True, slots=True)
class Made:
    rendered: Rendered
    message_error: str = ""


class NotRendered(Exception):
    """The kind could not write the event: a body template that fails, or a fault of the kind's. ``why`` says."""

    def __init__(self, event: payloads.Envelope, why: Exception) -> None:
        super().__init__(str(why))
        self.event, self.why = event, why


def _made(to: Destination, event: payloads.Envelope, message_error: str = "") -> Made:
    try:
        return Made(to.kind.render(event, to.target), message_error)
    except Exception as error:
        raise NotRendered(event, error) from error


def tenant_of(configuration: Configuration) -> payloads.Tenant:
    return payloads.Tenant(str(configuration.tenant_id), configuration.account, configuration.region)


def text_of(check: Check) -> payloads.CheckText:
    rule = catalogue.get(check.slug)
    return payloads.CheckText(
        slug=check.slug,
        title=rule.title,
        severity=check.severity,
        description=explanations.description(check),
        recommended_actions=explanations.recommended_actions(check),
        tags=check.tags,
        topics=rule.topics,
        frameworks=rule.frameworks,
    )


def link_to(check: Check, configuration: Configuration) -> str:
    """The check's page, as people reach it; empty where nobody has said how."""
    base = configuration.base_url.rstrip("/")
    return f"{base}/checks/{quote(check.slug)}/" if base else ""


def occasion(event: Event, check: Check) -> Occasion:
    configuration = Configuration.load()
    return Occasion(
        event=event,
        tenant=tenant_of(configuration),
        text=text_of(check),
        link=link_to(check, configuration),
        max_users=configuration.max_users_per_event,
        awake_at=quiet.awake_at(event.created_at, configuration),
    )


def destination(
    integration: Integration, audience: str, check: Check | None, *, template_text: str | None = None
) -> Destination:
    """Ready to render. ``template_text`` stands in for the stored message (a test of an unsaved one)."""
    template, error = None, ""
    text = template_text
    if text is None and check is not None:
        stored = MessageTemplate.objects.filter(check_ref=check, kind=integration.kind, audience=audience)
        text = stored.values_list("text", flat=True).first()
    if text is not None:
        try:
            template = messages.parse(text)
        except messages.MessageError as problem:  # was sound when saved, but the library has changed since
            template, error = messages.parse(messages.DEFAULTS[audience]), str(problem)[:500]
    kind = targets.get(integration.kind)
    return Destination(integration, kind, target_of(integration), audience, template, error)


def shared_data(on: Occasion) -> dict[str, Any]:
    """The variables that all messages of one event share."""
    text = on.text
    return {
        "check": {
            "title": text.title,
            "slug": text.slug,
            "severity": text.severity,
            "description": list(text.description),
            "recommended_actions": list(text.recommended_actions),
            "tags": sorted(text.tags),
            "topics": list(text.topics),
            "frameworks": list(text.frameworks),
        },
        "link": on.link,
        "published": payloads.milliseconds(on.event.created_at),
    }


def list_data(on: Occasion, users: Sequence[payloads.LoginDetail], batch: payloads.Batch) -> dict[str, Any]:
    """The variables of a message about a list of users."""
    return {
        **shared_data(on),
        "total": batch.total_users,
        "batch": {"index": batch.index, "count": batch.count},
        "users": [{"login": user["login"], "details": messages.details_of(user)} for user in users],
    }


def direct_data(
    on: Occasion, user: User, detail: payloads.LoginDetail, trust: str, recipient: payloads.Recipient
) -> dict[str, Any]:
    """The variables of a message about one user."""
    return {
        **shared_data(on),
        "user": {
            "login": detail["login"],
            "display_name": user.display_name,
            "details": messages.details_of(detail),
            "trust_level": trust,
        },
        "recipient": {
            "kind": recipient.kind,
            "login": recipient.login,
            "email": recipient.email,
            "display_name": recipient.display_name,
        },
    }


def recipient_of(user: User, kind: str) -> payloads.Recipient | None:
    """Who is written to about ``user``; None: the manager is unknown."""
    person = user if kind == Audience.USER else user.manager
    if person is None:
        return None
    return payloads.Recipient(
        kind="user" if kind == Audience.USER else "manager",
        login=person.name,
        email=person.email,
        display_name=person.display_name,
    )


def _message(to: Destination, data: Mapping[str, Any]) -> tuple[str, str]:
    message, error = messages.render_or_default(to.template, to.audience, data)
    return message, error or to.template_error


def list_body(
    on: Occasion,
    to: Destination,
    delivery_id: UUID,
    users: Sequence[payloads.LoginDetail],
    batch: payloads.Batch,
) -> Made:
    message, error = None, ""
    if to.template is not None and not on.resolved:
        message, error = _message(to, list_data(on, users, batch))
    return _made(to, list_event(on, to, delivery_id, users, batch, message), error)


def list_event(
    on: Occasion,
    to: Destination,
    delivery_id: UUID,
    users: Sequence[payloads.LoginDetail],
    batch: payloads.Batch,
    message: str | None,
) -> payloads.Envelope:
    """FAILED_CHECK or CHECK_RESOLVED, as the contract has it."""
    common: dict[str, Any] = {
        "delivery_id": delivery_id,
        "event_id": on.event.id,
        "short_id": to.integration.short_id,
        "published": on.event.created_at,
        "users": users,
        "batch": batch,
        "run_id": on.event.run_id,
        "reference_url": on.link,
    }
    if on.resolved:
        return payloads.check_resolved(on.tenant, on.text, still_failing=on.still_failing, **common)
    return payloads.failed_check(on.tenant, on.text, message=message, test=on.test, **common)


def direct_body(
    on: Occasion,
    to: Destination,
    delivery_id: UUID,
    user: User,
    detail: payloads.LoginDetail,
    trust: str,
    recipient: payloads.Recipient,
    *,
    reminder: bool = False,
) -> Made:
    message, error = custom_text(on, to, user, detail, trust, recipient)
    event = direct_event(on, to, delivery_id, detail, trust, recipient, message, reminder=reminder)
    return _made(to, event, error)


def direct_event(
    on: Occasion,
    to: Destination,
    delivery_id: UUID,
    detail: payloads.LoginDetail,
    trust: str,
    recipient: payloads.Recipient,
    message: str,
    *,
    reminder: bool = False,
) -> payloads.Envelope:
    """DIRECT_MESSAGE, as the contract has it."""
    return payloads.direct_message(
        on.tenant,
        on.text,
        delivery_id=delivery_id,
        event_id=on.event.id,
        short_id=to.integration.short_id,
        published=on.event.created_at,
        user=detail,
        user_trust_level=trust,
        recipient=recipient,
        message=message,
        reminder=reminder,
        test=on.test,
    )


def resolved_note(
    on: Occasion,
    to: Destination,
    delivery_id: UUID,
    detail: payloads.LoginDetail,
    recipient: payloads.Recipient,
) -> Made:
    """The contract's CHECK_RESOLVED about one user, for one person."""
    event = payloads.check_resolved(
        on.tenant,
        on.text,
        delivery_id=delivery_id,
        event_id=on.event.id,
        short_id=to.integration.short_id,
        published=on.event.created_at,
        users=[detail],
        batch=payloads.Batch(1, 1, 1),
        still_failing=0,
        recipient=recipient,
    )
    return _made(to, event)


def custom_text(
    on: Occasion,
    to: Destination,
    user: User,
    detail: payloads.LoginDetail,
    trust: str,
    recipient: payloads.Recipient,
) -> tuple[str, str]:
    """The message alone and, where the customised one failed and the default stands in for it, why."""
    return _message(to, direct_data(on, user, detail, trust, recipient))


def letter_body(
    on: Occasion,
    to: Destination,
    delivery_id: UUID,
    recipient: payloads.Recipient,
    items: Sequence[letters.Item],
    trust: str,
    problem: str = "",
) -> Made:
    """One message about several things, as a kind for chats or mails takes it; never the contract's JSON."""
    said = letters.letter(recipient.display_name or recipient.login, items)
    logins = list(dict.fromkeys(item.login for item in items))
    event = payloads.direct_message(
        on.tenant,
        payloads.CheckText("several", said.title, letters.worst(items), (), ()),
        delivery_id=delivery_id,
        event_id=on.event.id,
        short_id=to.integration.short_id,
        published=on.event.created_at,
        user={"login": logins[0] if len(logins) == 1 else "", "details": []},
        user_trust_level=trust,
        recipient=recipient,
        message=said.text,
    )
    return _made(to, event, problem)


def connectivity_body(
    event: Event, to: Destination, delivery_id: UUID, configuration: Configuration, published: datetime
) -> Made:
    envelope = payloads.webhook_test(
        tenant_of(configuration),
        delivery_id=delivery_id,
        event_id=event.id,
        short_id=to.integration.short_id,
        published=published,
    )
    return _made(to, envelope)
