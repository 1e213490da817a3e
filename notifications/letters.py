"""One message for one person about several things: pure. One thing alone has the check's own message."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Role = Literal["user", "manager"]
Stage = Literal["new", "reminder", "over"]
SEVERITIES = ("critical", "high", "medium", "low")
# What a chat shows of one message; who is beyond that is counted.
MOST_CHARACTERS = 2600
MOST_LOGINS = 10


@dataclass(frozen=True, slots=True)
class Item:
    """One finding as the letter tells it, to the user or to the user's manager. ``custom`` is the check's
    customised message, where there is one."""

    role: Role
    stage: Stage
    title: str
    severity: str
    login: str
    actions: Sequence[str] = ()
    custom: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    title: str
    text: str


def letter(name: str, items: Sequence[Item]) -> Letter:
    """``name`` is the recipient's; ``items`` are at least one, of one role or of both."""
    parts = [f"Hello {name},"]
    left = MOST_CHARACTERS - len(parts[0])
    cut = 0
    for (stage, role), intro in _INTROS.items():
        mine = [item for item in items if (item.stage, item.role) == (stage, role)]
        if not mine:
            continue
        first = len(parts) == 1
        parts.append((intro if first else intro.capitalize()).format(login=mine[0].login))
        left -= len(parts[-1])
        for block, things in _blocks(mine):
            if cut or len(block) > left:
                cut += things
                continue
            parts.append(block)
            left -= len(block)
    if cut:
        parts.append(f"… and {cut:,} more.")
    return Letter(_title(items), "\n\n".join(parts))


def worst(items: Sequence[Item]) -> str:
    """The worst severity of the items."""
    return min((item.severity for item in items), key=SEVERITIES.index)


_INTROS: dict[tuple[Stage, Role], str] = {
    ("new", "user"): "your account {login} fails:",
    ("new", "manager"): "of the accounts that you are the manager of, these fail:",
    ("reminder", "user"): "your account {login} still fails, as we wrote before:",
    ("reminder", "manager"): (
        "of the accounts that you are the manager of, these still fail, as we wrote before:"
    ),
    ("over", "user"): "your account {login} no longer fails:",
    ("over", "manager"): "of the accounts that you are the manager of, these no longer fail:",
}


def _title(items: Sequence[Item]) -> str:
    stages = {item.stage for item in items}
    titles = list(dict.fromkeys(item.title for item in items))
    said = titles[0] if len(titles) == 1 else f"{len(titles)} identity checks"
    if stages == {"over"}:
        return f"Resolved: {said}"
    return f"Reminder: {said}" if "new" not in stages else said


def _blocks(items: Sequence[Item]) -> list[tuple[str, int]]:
    """A block a check, the worst first, with the number of items in it; a customised message is one."""
    ordered = sorted(items, key=lambda item: (SEVERITIES.index(item.severity), item.title))
    blocks = []
    for _, group in groupby(ordered, key=lambda item: item.title):
        mine = list(group)
        blocks += [(item.custom, 1) for item in mine if item.custom and item.stage != "over"]
        plain = [item for item in mine if not item.custom or item.stage == "over"]
        if plain:
            blocks.append((_block(plain), len(plain)))
    return blocks


def _block(items: Sequence[Item]) -> str:
    first = items[0]
    over = first.stage == "over"
    head = first.title if over else f"{first.title} ({first.severity})"
    if first.role == "manager":
        logins = [item.login for item in items[:MOST_LOGINS]]
        more = f" and {len(items) - MOST_LOGINS:,} more" if len(items) > MOST_LOGINS else ""
        head = f"{head}: {', '.join(logins)}{more}"
    actions = [] if over else [f"- {action}" for action in first.actions]
    return "\n".join([head, *actions])
