"""The contract's events from plain values: pure, and in the field order of docs/contract.md."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal
from uuid import UUID

import orjson

from checks.services import AudienceText, LoginDetail
from integrations.services import (
    ENGLISH,
    JsonMapping,
    MarkdownText,
    Reader,
    base_language,
    encode_event,
    fact_lines,
    inert,
    translator_for,
)
from notifications.rendering.presentation import DEFAULT_PRESENTATION, Presentation, due_date

Envelope = dict[str, object]

# The worst open finding decides. Each message is about a user with one.
TRUST_LEVELS = {"critical": "UNTRUSTED", "high": "QUESTIONABLE", "medium": "NEUTRAL", "low": "FAVORABLE"}
CONNECTIVITY_TITLE = "Webhook connectivity test"
CONNECTIVITY_DESCRIPTION = ("This event was sent by Test Connectivity. It speaks of no user.",)


@dataclass(frozen=True, slots=True)
class Tenant:
    """The installation, as the envelope names it."""

    id: str
    account: str = "000000000000"
    region: str = "self-hosted"


@dataclass(frozen=True, slots=True)
class CheckText:
    """The check's part of an event: texts with their placeholders filled in."""

    slug: str
    title: str
    severity: str
    description: Sequence[str]
    recommended_actions: Sequence[str]
    tags: Sequence[str] = ()
    topics: Sequence[str] = ()
    frameworks: Sequence[str] = ()


@dataclass(frozen=True)
class CheckEvent:
    """One event about a check: what all its messages have in common."""

    id: UUID
    tenant: Tenant
    check: CheckText
    published: datetime
    run_id: UUID | None = None
    link: str = ""  # to the check's page; empty where no address is known
    is_resolved: bool = False  # about users who no longer fail
    is_test: bool = False
    texts: Mapping[str, AudienceText] = field(default_factory=dict)  # of the check, by audience
    still_failing: int = 0  # users, where the event is a resolved one
    presentation: Presentation = DEFAULT_PRESENTATION
    # By language, other than English: the texts of the check by audience, and the check with translated texts.
    translations: Mapping[str, Mapping[str, AudienceText]] = field(default_factory=dict)
    translated_checks: Mapping[str, CheckText] = field(default_factory=dict)
    users_url: str = ""  # of the console's page with all failing users; empty where no address is known
    user_pages: str = ""  # the console's address of a user without the user's number, likewise

    @cached_property
    def published_text(self) -> str:
        return milliseconds(self.published)

    @cached_property
    def time_text(self) -> str:
        return seconds(self.published)

    def variables(self, audience: str, language: str = ENGLISH) -> Mapping[str, object]:
        """The variables of a message template that are the same in every message of the event to this
        audience, in this language."""
        return self._shared(audience, language)[0]

    def texts_in(self, language: str) -> Mapping[str, AudienceText]:
        """The texts by audience, in the language of a tag such as ``de-AT``; English where there is no other."""
        return self.translations.get(base_language(language), self.texts)

    def check_in(self, language: str) -> CheckText:
        """The check with its texts in the language of a tag such as ``de-AT``; English where there is no other."""
        return self.translated_checks.get(base_language(language), self.check)

    def due_text(self, audience: str, language: str) -> str:
        """The date until which the reader should act, in words; empty where there is none."""
        text = self.texts.get(audience)
        if text is None or not text.due_days:
            return ""
        day = due_date(self.published, text.due_days, self.presentation.zone)
        return translator_for(language).full_date(day)

    def facts(self, details: JsonMapping, audience: str, language: str) -> list[str]:
        """What the text for this audience shows of a user's details, a line each, in the reader's words."""
        text = self.texts.get(audience)
        if text is None or not text.shows:
            return []
        reader = Reader(translator_for(language), self.presentation.zone, self.published)
        return fact_lines(details, text.shows, reader)

    def variables_about(self, details: JsonMapping, audience: str, language: str) -> dict[str, object]:
        """The variables of a message about one user that depend on the event and the user's details alone."""
        shared, text = self._shared(audience, language)
        facts = self.facts(details, audience, language)
        lines = MarkdownText("".join(f"{inert(fact)}\n" for fact in facts))
        return {**shared, "text": {**text, "facts": facts, "fact_list": lines}}

    def _shared(self, audience: str, language: str) -> tuple[dict[str, object], dict[str, object]]:
        """The variables that all recipients of a language share, and those of ``text`` among them."""
        key = audience, language
        if key not in self._variables:
            text = self._text(audience, language)
            variables: dict[str, object] = {
                "check": self._check_values(language),
                "link": MarkdownText(self.link),
                "published": self.published_text,
                "text": text,
            }
            self._variables[key] = variables, text
        return self._variables[key]

    def _text(self, audience: str, language: str) -> dict[str, object]:
        if audience not in self.texts:
            return {}
        return {
            **_text_variables(self.texts_in(language)[audience]),
            "due_date": self.due_text(audience, language),
            "instructions_url": MarkdownText(self.presentation.instructions_url),
            "signature": MarkdownText(self.presentation.signature),
        }

    @cached_property
    def _variables(self) -> dict[tuple[str, str], tuple[dict[str, object], dict[str, object]]]:
        return {}  # filled by _shared()

    def _check_values(self, language: str) -> dict[str, object]:
        check = self.check_in(language)
        return {
            "title": check.title,
            "slug": check.slug,
            "severity": check.severity,
            "description": list(check.description),
            "recommended_actions": list(check.recommended_actions),
            "tags": sorted(check.tags),
            "topics": list(check.topics),
            "frameworks": list(check.frameworks),
        }


def _text_variables(text: AudienceText) -> dict[str, object]:
    """The texts of a check, whose Markdown counts."""
    return {
        "subject": text.subject,
        "found": MarkdownText(text.found),
        "actions": [MarkdownText(action) for action in text.actions],
        # Made once for all messages of the event; the loop of a template is run for each.
        "action_list": MarkdownText("".join(f"- {action}\n" for action in text.actions)),
        "why": MarkdownText(text.why),
        "due_days": text.due_days,
        "contact": MarkdownText(text.contact),
    }


@dataclass(frozen=True, slots=True)
class BatchPosition:
    """The place of one delivery among those of its event, and the users of all of them."""

    index: int = 1
    count: int = 1
    total_users: int = 1


@dataclass(frozen=True, slots=True)
class Recipient:
    kind: Literal["user", "manager"]
    login: str
    email: str
    display_name: str
    locale: str = ""  # BCP 47; empty where no source gives one

    @property
    def name(self) -> str:
        return self.display_name or self.login


@dataclass(frozen=True, slots=True)
class Item:
    """One user's ``loginDetails`` item, encoded once for every body that holds it. ``name`` is the display name and
    ``user_id`` the number in the console (0: none), which are no part of the contract."""

    login: str
    encoded: bytes
    name: str = ""
    user_id: int = 0

    @classmethod
    def of(cls, detail: LoginDetail, name: str = "", user_id: int = 0) -> "Item":
        return cls(detail["login"], encode_event(detail), name, user_id)

    @classmethod
    def read(cls, line: bytes) -> "Item":
        """Parse a line that :attr:`line` wrote."""
        encoded, _, others = line.partition(b"\t")
        return cls(orjson.loads(encoded)["login"], encoded, *orjson.loads(others))

    @property
    def line(self) -> bytes:
        """The item as one line of a temporary file. Encoded JSON contains no tab and no line break."""
        return b"%b\t%b" % (self.encoded, orjson.dumps([self.name, self.user_id]))

    @classmethod
    def resolved(cls, login: str, reason: str, name: str = "", user_id: int = 0) -> "Item":
        """The item of a user who no longer fails: ``cured``, ``unknown`` or ``out_of_scope``."""
        detail: LoginDetail = {
            "login": login,
            "details": [{"key": "resolution", "value": json.dumps(reason)}],
        }
        return cls.of(detail, name, user_id)

    @property
    def plain(self) -> LoginDetail:
        detail: LoginDetail = orjson.loads(self.encoded)
        return detail

    @property
    def details(self) -> dict[str, object]:
        """The details by name, each value decoded."""
        return {pair["key"]: json.loads(pair["value"]) for pair in self.plain["details"]}


def seconds(moment: datetime) -> str:
    """``2024-09-19T08:15:30Z``"""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def milliseconds(moment: datetime) -> str:
    """``2024-09-19T08:15:30.123Z``"""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def trust_level(severities: Iterable[str]) -> str:
    """A user's ``userTrustLevel`` by the severities of the open findings; UNKNOWN without any.

    CII computes its level from behaviour that this project does not see. The worst open finding replaces it:
    critical UNTRUSTED, high QUESTIONABLE, medium NEUTRAL, low FAVORABLE. A user who fails a check is never
    TRUSTED.
    """
    found = set(severities)
    for severity, level in TRUST_LEVELS.items():
        if severity in found:
            return level
    return "UNKNOWN"


# --- Envelopes ------------------------------------------------------------------------------------
def _envelope(detail_type: str, event: CheckEvent, id: UUID, short_id: str, detail: Envelope) -> Envelope:
    return {
        "version": "0",
        "id": str(id),
        "detail-type": detail_type,
        "source": f"{event.tenant.id}__{short_id}",
        "account": event.tenant.account,
        "time": event.time_text,
        "region": event.tenant.region,
        "resources": [],
        "detail": detail,
    }


def _items(users: Sequence[Item], encoded: bool) -> list[LoginDetail | bytes]:
    return [user.encoded if encoded else user.plain for user in users]


def _head(event: CheckEvent) -> Envelope:
    """The first keys of each event about a check."""
    check = event.check
    return {
        "id": str(event.id),
        "checkId": check.slug,
        "title": check.title,
        "severity": check.severity,
        "description": list(check.description),
    }


def _classification(check: CheckText) -> Envelope:
    """The keys that classify the check."""
    return {
        "checkTags": sorted(check.tags),
        "checkTopics": list(check.topics),
        "checkScope": "USER",
        "frameworks": list(check.frameworks),
    }


def _links(event: CheckEvent) -> Envelope:
    found: Envelope = {}
    if event.run_id:
        found["runId"] = str(event.run_id)
    if event.link:
        found["referenceUrl"] = event.link
    return found


def _batch(part: BatchPosition) -> Envelope:
    return {"batch": {"index": part.index, "count": part.count, "totalUsers": part.total_users}}


def failed_check(
    event: CheckEvent,
    *,
    id: UUID,
    short_id: str,
    users: Sequence[Item],
    part: BatchPosition,
    message: str | None = None,
    encoded: bool = False,
) -> Envelope:
    """FAILED_CHECK. ``id`` is the delivery's, ``short_id`` the target's; ``encoded`` leaves the users' items as
    bytes, which :func:`encode_event` writes unchanged."""
    detail: Envelope = {
        **_head(event),
        "recommendedActions": list(event.check.recommended_actions),
        "published": event.published_text,
        "usersFailing": [user.login for user in users],
        "loginDetails": _items(users, encoded),
        **_classification(event.check),
    }
    if message is not None:
        detail["message"] = message
    detail |= _links(event) | _batch(part)
    if event.is_test:
        detail["test"] = True
    return _envelope("FAILED_CHECK", event, id, short_id, detail)


def check_resolved(
    event: CheckEvent,
    *,
    id: UUID,
    short_id: str,
    users: Sequence[Item],
    part: BatchPosition,
    recipient: Recipient | None = None,
    encoded: bool = False,
) -> Envelope:
    """CHECK_RESOLVED. Its users are in ``usersResolved``, so that a reader of ``usersFailing`` finds no user.
    ``recipient``: the message is for one person."""
    detail: Envelope = {
        **_head(event),
        "published": event.published_text,
        "usersResolved": [user.login for user in users],
        "loginDetails": _items(users, encoded),
        "stillFailing": event.still_failing,
        **_classification(event.check),
    }
    detail |= {"recipient": _recipient(recipient)} if recipient else _links(event)
    return _envelope("CHECK_RESOLVED", event, id, short_id, detail | _batch(part))


def _recipient(recipient: Recipient) -> dict[str, str]:
    return {
        "kind": recipient.kind,
        "login": recipient.login,
        "email": recipient.email,
        "displayName": recipient.display_name,
    }


def direct_message(
    event: CheckEvent,
    *,
    id: UUID,
    short_id: str,
    user: Item,
    user_trust_level: str,
    recipient: Recipient,
    message: str | None = None,
    is_reminder: bool = False,
    encoded: bool = False,
) -> Envelope:
    """DIRECT_MESSAGE about one failing user. ``is_reminder``: the recipient got a message about it before."""
    detail: Envelope = {
        **_head(event),
        "recommendedActions": list(event.check.recommended_actions),
        "published": event.published_text,
        "checkTags": sorted(event.check.tags),
        "login": user.login,
        "userTrustLevel": user_trust_level,
        "recipient": _recipient(recipient),
    }
    if is_reminder:
        detail["reminder"] = True
    if message is not None:
        detail["message"] = message
    detail["loginDetails"] = _items([user], encoded)
    if event.is_test:
        detail["test"] = True
    return _envelope("DIRECT_MESSAGE", event, id, short_id, detail)


def webhook_test(event: CheckEvent, *, id: UUID, short_id: str) -> Envelope:
    """WebhookTest, which is about no check."""
    detail: Envelope = {
        "id": str(event.id),
        "title": CONNECTIVITY_TITLE,
        "description": list(CONNECTIVITY_DESCRIPTION),
        "published": event.published_text,
        "test": True,
    }
    return _envelope("WebhookTest", event, id, short_id, detail)
