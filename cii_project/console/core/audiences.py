"""The audiences of a target, and labels of audiences and kinds."""

from integrations.services import KINDS
from notifications.models import Audience

AUDIENCE_LABELS = {
    Audience.LIST: "the list of users",
    Audience.USER: "each user",
    Audience.MANAGER: "each manager",
}


def audiences_of(kind: str) -> list[str]:
    """The audiences that a kind offers, the list first; none for a kind that this version lacks."""
    offered = KINDS[kind].audiences if kind in KINDS else frozenset()
    return [audience for audience in Audience.values if audience in offered]


def label_of_kind(kind: str) -> str:
    return KINDS[kind].label if kind in KINDS else kind
