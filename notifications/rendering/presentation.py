"""The look and the sender of messages about one check: the check's own settings, else the installation's.
Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from integrations.services import DEFAULT_ACCENT, ENGLISH, MessageFrame, Translator


@dataclass(frozen=True, slots=True)
class Presentation:
    """``organization`` is the installation's name; ``zone`` that of its dates. Where ``contact`` is empty or
    ``due_days`` 0 the texts of the check say them."""

    organization: str = ""
    instructions_url: str = ""
    contact: str = ""
    due_days: int = 0
    signature: str = ""
    logo_url: str = ""
    accent: str = DEFAULT_ACCENT
    sender: str = ""
    sender_name: str = ""
    reply_to: str = ""
    zone: str = "UTC"
    language: str = ENGLISH  # of lists, and of people whose own language is not known

    def frame(self, *, subject: str = "", footer: str = "", language: str = "") -> MessageFrame:
        """The frame of one message."""
        return MessageFrame(
            language=language or self.language,
            zone=self.zone,
            subject=subject,
            footer=footer,
            organization=self.organization,
            instructions_url=self.instructions_url,
            logo_url=self.logo_url,
            accent=self.accent,
            sender=self.sender,
            sender_name=self.sender_name,
            reply_to=self.reply_to,
        )


# The presentation of an installation without settings.
DEFAULT_PRESENTATION = Presentation()


def person_footer(translate: Translator, organization: str, kind: str) -> str:
    """Why a user or a manager gets a message."""
    if kind == "manager":
        reason = translate(
            "You get this message because our records name you as the manager of this account."
        )
    else:
        reason = translate(
            "You get this message because an automatic check of accounts found something on your account."
        )
    return f"{organization}. {reason}" if organization else reason


def due_date(published: datetime, days: int, zone: str) -> datetime:
    """The last day on which a user acts in time, in the installation's zone."""
    return published.astimezone(ZoneInfo(zone)) + timedelta(days=days)
