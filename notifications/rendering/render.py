"""From a batch to the bytes for one target. Every body comes from here: planned, test, preview or replay. Pure."""

from dataclasses import dataclass, replace

from integrations.services import RenderedBody, TargetKind, TemplateError, encode_event
from notifications.errors import NotificationsError
from notifications.rendering.batch import Batch, Destination

# The content type of a body that is the contract's event, because the kind could not write it.
UNRENDERED = "application/x-unrendered+json"


@dataclass(frozen=True, slots=True)
class Message:
    """A body, and why a customised message in it was replaced by the default one."""

    rendered: RenderedBody
    message_error: str = ""


class NotRendered(NotificationsError):
    """The kind could not write the event: its body template fails on it, or the kind has a fault.

    ``reason`` is for people, ``event`` the contract's event in JSON, for a later try; ``__cause__`` is the error.
    """

    def __init__(self, reason: str, event: bytes) -> None:
        super().__init__(reason)
        self.reason, self.event = reason, event


def render(to: Destination, batch: Batch) -> Message:
    """The body of a batch. Raises :class:`NotRendered`."""
    message, message_error = batch.message(to)
    event = batch.envelope(to, message)
    try:
        # A body that is the contract's event has no frame.
        target = to.target if to.is_verbatim else replace(to.target, frame=batch.frame)
        return Message(to.kind.render(event, target), message_error)
    except Exception as error:
        raise NotRendered(reason_of(error), encode_event(event)) from error


def reason_of(error: Exception) -> str:
    """Why a message could not be rendered, for people."""
    reason = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}."
    return f"The message could not be made: {reason}"[:500]


def too_large(body: bytes, kind: TargetKind) -> str:
    """Why a body about one user is not sent; empty where its size is within the kind's limit."""
    if len(body) <= kind.max_bytes:
        return ""
    return f"One user's message has {len(body):,} bytes, over the {kind.max_bytes:,} that this kind of target takes."
