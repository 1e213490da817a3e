"""What all messages of one event to one target share, made once; what varies is put in.

Where a kind writes the contract's event as it is (``verbatim``), the event is rendered once with marks in the
places that vary, and each message is that text with its own JSON in them. Everything else is composed in full.
Both ways give the same bytes: tests/notifications/test_moulds.py.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from checks.models import User
from notifications import composing, messages, payloads
from notifications.composing import Destination, Made, Occasion
from notifications.payloads import encode
from notifications.prepared import Prepared, prepare

# Random, so that no text can hold it.
_MARK = secrets.token_hex(16)
_MARKED = re.compile(rf'"{_MARK}(\w+)"')


def _mark(name: str) -> Any:
    return _MARK + name


def _mould(to: Destination, event: payloads.Envelope) -> tuple[str, str]:
    """The rendered event as a format of the marks' names, and its content type."""
    rendered = to.kind.render(event, to.target)
    return _MARKED.sub(r"%(\1)s", rendered.body.decode().replace("%", "%%")), rendered.content_type


def _verbatim(to: Destination) -> bool:
    asked = getattr(to.kind, "verbatim", None)
    return bool(asked and asked(to.target))


@dataclass(frozen=True, slots=True)
class Item:
    """A loginDetails item, and both its values as JSON."""

    plain: payloads.LoginDetail
    login: str
    details: str

    @classmethod
    def of(cls, item: payloads.LoginDetail) -> "Item":
        return cls(item, encode(item["login"]), encode(item["details"]))

    @property
    def json(self) -> str:
        return f'{{"login":{self.login},"details":{self.details}}}'


@dataclass(frozen=True)
class DirectMould:
    """DIRECT_MESSAGE about one user."""

    on: Occasion
    to: Destination

    @cached_property
    def _format(self) -> tuple[str, str]:
        kind: Any = self.to.audience
        recipient = payloads.Recipient(
            kind, _mark("recipient_login"), _mark("recipient_email"), _mark("recipient_name")
        )
        event = composing.direct_event(
            self.on,
            self.to,
            _mark("id"),
            {"login": _mark("login"), "details": _mark("details")},
            _mark("trust"),
            recipient,
            _mark("message"),
        )
        return _mould(self.to, event)

    @cached_property
    def _message(self) -> "Prepared | None":
        """None: the message needs Liquid each time."""
        template = self.to.template or messages.default(self.to.audience)
        return prepare(template, composing.shared_data(self.on))

    @cached_property
    def _verbatim(self) -> bool:
        return _verbatim(self.to)

    def make(self, id: UUID, user: User, item: Item, trust: str, recipient: payloads.Recipient) -> Made:
        if not self._verbatim:
            return composing.direct_body(self.on, self.to, id, user, item.plain, trust, recipient)
        message, error = self._said(user, item, trust, recipient)
        text, content_type = self._format
        values = {
            "id": f'"{id}"',
            "login": item.login,
            "details": item.details,
            "trust": f'"{trust}"',
            "recipient_login": encode(recipient.login),
            "recipient_email": encode(recipient.email),
            "recipient_name": encode(recipient.display_name),
            "message": encode(message),
        }
        return Made(composing.Rendered((text % values).encode("utf-8", "replace"), content_type), error)

    def _said(self, user: User, item: Item, trust: str, recipient: payloads.Recipient) -> tuple[str, str]:
        said = None
        if self._message:
            said = self._message.render({
                "user.login": item.plain["login"],
                "user.display_name": user.display_name,
                "user.trust_level": trust,
                "recipient.kind": recipient.kind,
                "recipient.login": recipient.login,
                "recipient.email": recipient.email,
                "recipient.display_name": recipient.display_name,
            })  # fmt: skip
        if said is None:
            return composing.custom_text(self.on, self.to, user, item.plain, trust, recipient)
        return said, self.to.template_error


@dataclass(frozen=True)
class ListMould:
    """FAILED_CHECK or CHECK_RESOLVED about a batch of users."""

    on: Occasion
    to: Destination

    @cached_property
    def fits(self) -> bool:
        """Else each batch is composed in full, of users in the plain."""
        customised = self.to.template is not None and not self.on.resolved
        return not customised and _verbatim(self.to)

    @cached_property
    def _format(self) -> tuple[str, str]:
        batch = payloads.Batch(_mark("index"), _mark("count"), _mark("total"))
        event = composing.list_event(self.on, self.to, _mark("id"), (), batch, None)
        logins = "usersResolved" if self.on.resolved else "usersFailing"
        event["detail"] |= {logins: _mark("logins"), "loginDetails": _mark("users")}
        return _mould(self.to, event)

    def make(self, id: UUID, lines: Sequence[str], logins: Sequence[str], batch: payloads.Batch) -> Made:
        """``lines`` are loginDetails items, ``logins`` their logins, both as JSON."""
        text, content_type = self._format
        values = {
            "id": f'"{id}"',
            "logins": f"[{','.join(logins)}]",
            "users": f"[{','.join(lines)}]",
            "index": batch.index,
            "count": batch.count,
            "total": batch.total_users,
        }
        return Made(composing.Rendered((text % values).encode("utf-8", "replace"), content_type))
