"""Reads from the database what rendering needs: an event's content, a target, a recipient."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from django.conf import settings

from checks import services as check_services
from checks.models import Check, User
from checks.services import AudienceText
from integrations.models import Integration
from integrations.services import (
    ENGLISH,
    LANGUAGES,
    Translator,
    kind_of,
    target_without_secrets,
    translator_for,
)
from notifications import quiet_hours
from notifications.delivery.presentations import presentation_of
from notifications.models import Audience, Configuration, Event, MessageTemplate
from notifications.rendering import templates
from notifications.rendering.batch import Destination
from notifications.rendering.payloads import CheckEvent, CheckText, Recipient, Tenant
from notifications.rendering.presentation import Presentation

_TRANSLATED = [language for language in LANGUAGES if language != ENGLISH]


@dataclass(frozen=True, slots=True)
class EventContext:
    """An event while its deliveries are planned."""

    event: Event
    content: CheckEvent
    max_users: int  # in one delivery to a list
    direct_due_at: datetime  # when direct messages may be sent: now, or at the end of the quiet hours
    # Direct messages wait until the recipients of the whole run are counted (holds.py).
    holds_direct: bool = False


@dataclass(frozen=True, slots=True)
class TargetDestination(Destination):
    """A destination and the row of its target."""

    integration: Integration

    @property
    def users_per_request(self) -> int | None:
        return self.kind.users_per_request(self.target)


def event_context(event: Event, check: Check) -> EventContext:
    configuration = Configuration.load()
    presentation = presentation_of(configuration, check)
    content = CheckEvent(
        id=event.id,
        tenant=tenant_of(configuration),
        check=_text_of(check, translator_for(ENGLISH)),
        published=event.created_at,
        run_id=event.run_id,
        link=_link_to(check, configuration),
        is_resolved=event.origin == Event.Origin.RESOLVED,
        is_test=event.origin == Event.Origin.TEST,
        texts=_with_settings(check_services.audience_texts(check), presentation),
        translations={
            language: _with_settings(
                check_services.audience_texts(check, translator_for(language)), presentation
            )
            for language in _TRANSLATED
        },
        translated_checks={language: _text_of(check, translator_for(language)) for language in _TRANSLATED},
        presentation=presentation,
        users_url=_users_link(check, configuration),
        user_pages=_user_pages(configuration),
    )
    return EventContext(
        event,
        content,
        max_users=configuration.max_users_per_event,
        direct_due_at=quiet_hours.end_of_quiet_hours(event.created_at, configuration),
        holds_direct=configuration.limits_people and event.origin not in Event.BY_MEMBER,
    )


def connectivity_event(event: Event) -> CheckEvent:
    """The event of Test Connectivity, which is about no check."""
    configuration = Configuration.load()
    return CheckEvent(
        event.id,
        tenant_of(configuration),
        CheckText("", "", "", (), ()),
        event.created_at,
        presentation=presentation_of(configuration),
    )


def _with_settings(texts: Mapping[str, AudienceText], presentation: Presentation) -> dict[str, AudienceText]:
    """The texts with the contact and the days that the installation or the check sets."""
    return {
        audience: replace(
            text,
            contact=text.contact and (presentation.contact or text.contact),
            due_days=text.due_days and (presentation.due_days or text.due_days),
        )
        for audience, text in texts.items()
    }


def tenant_of(configuration: Configuration) -> Tenant:
    return Tenant(str(configuration.tenant_id), configuration.account, configuration.region)


def _text_of(check: Check, translate: Translator) -> CheckText:
    catalogued = check_services.catalogue_check(check.slug)
    return CheckText(
        slug=check.slug,
        title=translate(catalogued.title),
        severity=check.severity,
        description=check_services.check_description(check, translate),
        recommended_actions=check_services.recommended_actions(check, translate),
        tags=check.tags,
        topics=catalogued.topics,
        frameworks=catalogued.frameworks,
    )


def console_address(configuration: Configuration) -> str:
    """The address of the console; empty where neither the Settings page nor PUBLIC_URL has it."""
    return configuration.base_url.rstrip("/") or settings.PUBLIC_URL


def _link_to(check: Check, configuration: Configuration) -> str:
    base = console_address(configuration)
    return f"{base}/checks/{quote(check.slug)}/" if base else ""


def _users_link(check: Check, configuration: Configuration) -> str:
    """All users who fail the check now."""
    base = console_address(configuration)
    return f"{base}/users/?check={quote(check.slug)}" if base else ""


def _user_pages(configuration: Configuration) -> str:
    """The console's address of a user's page without its end: the user's number and "/"."""
    base = console_address(configuration)
    return f"{base}/users/" if base else ""


def destination(
    integration: Integration, audience: str, check: Check | None, *, template_text: str | None = None
) -> TargetDestination:
    """A target ready to render for. ``template_text`` replaces the stored message, to test an unsaved one."""
    template, error = None, ""
    text = template_text
    if text is None and check is not None:
        stored = MessageTemplate.objects.filter(check_ref=check, kind=integration.kind, audience=audience)
        text = stored.values_list("text", flat=True).first()
    if text is not None:
        try:
            template = templates.parse(text)
        except templates.MessageError as problem:  # valid when saved; another version of Liquid refuses it
            template, error = templates.default(audience), str(problem)[:500]
    kind = kind_of(integration.kind)
    return TargetDestination(
        kind, target_without_secrets(integration), audience, template, error, integration
    )


def recipient_of(user: User, audience: str) -> Recipient | None:
    """The recipient of a direct message about ``user``; None where the manager is unknown."""
    person = user if audience == Audience.USER else user.manager
    if person is None:
        return None
    return Recipient(
        kind="user" if audience == Audience.USER else "manager",
        login=person.name,
        email=person.email,
        display_name=person.display_name,
        locale=person.locale,
    )


def unknown_manager_reason(user: User) -> str:
    """Why a manager is sent nothing about ``user``."""
    return f"The manager of {user.name} is unknown."[:500]


def no_address_reason(recipient: Recipient) -> str:
    """Why a chat or mail sends nothing: both find people by their e-mail address."""
    return f"{recipient.login} has no e-mail address."[:500]
