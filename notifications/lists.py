"""The deliveries of one event to the targets that are told of a list of users: batches, each within its limits."""

import json
from array import array
from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import uuid4

from django.db import transaction

from integrations import targets as kinds
from integrations.models import Integration
from notifications import bulk, composing, mentions, payloads, rows
from notifications.composing import Destination, Occasion
from notifications.models import Delivery
from notifications.moulds import Item, ListMould
from notifications.rows import Row

# A chat or mail names no more users than this; the others it counts.
MOST_NAMED = 1000
_LOGIN_AT = len('{"login":')


class Spool:
    """loginDetails items, as JSON, on their way from the database to the batches of several targets."""

    def __init__(self, file: "SpooledTemporaryFile[bytes]") -> None:
        self.file = file
        self.sizes = array("L")  # what each user adds to a body of the contract
        self.logins = array("L")  # characters of the login as JSON
        self.findings = array("Q")
        self.offsets = array("Q", [0])

    def add(self, items: Sequence[Item], findings: Sequence[int]) -> None:
        """``findings``: the id of each item's."""
        self.findings.extend(findings)
        for item in items:
            line = item.json.encode()
            self.sizes.append(len(line) + len(item.login.encode()) + 2)  # with a comma each
            self.logins.append(len(item.login))
            self.offsets.append(self.offsets[-1] + len(line) + 1)
            self.file.write(line + b"\n")

    def lines(self, users: range) -> list[str]:
        """The items as JSON."""
        self.file.seek(self.offsets[users.start])
        found = self.file.read(self.offsets[users.stop] - self.offsets[users.start])
        self.file.seek(self.offsets[-1])
        return found.decode().split("\n")[:-1]

    def read(self, users: range) -> list[payloads.LoginDetail]:
        return [json.loads(line) for line in self.lines(users)]

    def logins_of(self, users: range, lines: Sequence[str]) -> list[str]:
        """The logins as JSON."""
        sizes = self.logins[users.start : users.stop]
        return [line[_LOGIN_AT : _LOGIN_AT + size] for line, size in zip(lines, sizes, strict=True)]


class _TooLarge(Exception):
    def __init__(self, users: range) -> None:
        super().__init__(users)
        self.users = users


def one_message(integration: Integration) -> bool:
    """Whether one message of this target speaks of many: chats and mails do, the contract does not."""
    return bool(getattr(kinds.KINDS.get(integration.kind), "one_message", False))


def insert(on: Occasion, to: Destination, spool: Spool) -> int:
    """The deliveries of one target; how many."""
    if one_message(to.integration):
        return bulk.insert(Delivery, rows.COLUMNS, [_one_message(on, to, spool)])
    return _insert_batches(on, to, spool)


def _one_message(on: Occasion, to: Destination, spool: Spool) -> Row:
    """One message about all: it names as many as fit, and counts the others."""
    total = len(spool.sizes)
    users, batch = range(min(total, MOST_NAMED)), payloads.Batch(1, 1, total)
    values: dict[str, Any] = {"id": uuid4(), "users": total, "about": mentions.of(spool.findings)}
    while True:
        try:
            made = composing.list_body(on, to, values["id"], spool.read(users), batch)
        except Exception as error:  # noqa: BLE001  a kind's bug is that message's end, not the run's
            return rows.failed(on, to, error, values)
        if len(made.rendered.body) <= to.kind.max_bytes or len(users) == 1:
            return rows.made_row(on, to, made, values)
        users = range(len(users) // 2)


def _insert_batches(on: Occasion, to: Destination, spool: Spool) -> int:
    """They are made as large as allowed; where the rendered bytes of one exceed what the kind takes, all are
    cut anew, since each says how many there are."""
    total = len(spool.sizes)
    most = min(on.max_users, to.users_per_request or on.max_users)
    ranges = payloads.partition([0] * total, 0, most, 1)
    by_bytes = False
    while True:
        try:
            with transaction.atomic():
                return bulk.insert(Delivery, rows.COLUMNS, _batch_rows(on, to, spool, ranges))
        except _TooLarge as problem:
            if by_bytes:
                middle = problem.users.start + len(problem.users) // 2
                at = ranges.index(problem.users)
                halves = [range(problem.users.start, middle), range(middle, problem.users.stop)]
                ranges[at : at + 1] = halves
                continue
            by_bytes = True
            batch = payloads.Batch(total, total, total)
            ranges = payloads.partition(
                spool.sizes, _bytes_without_users(on, to, batch), most, to.kind.max_bytes
            )


def _bytes_without_users(on: Occasion, to: Destination, batch: payloads.Batch) -> int:
    """A guess: what turns out too large after all is halved."""
    try:
        return len(composing.list_body(on, to, uuid4(), [], batch).rendered.body)
    except composing.NotRendered:  # a body template that needs a user
        return 0


def _batch_rows(on: Occasion, to: Destination, spool: Spool, ranges: Sequence[range]) -> Iterator[Row]:
    mould = ListMould(on, to)
    for index, users in enumerate(ranges, start=1):
        values: dict[str, Any] = {
            "id": uuid4(),
            "batch": index,
            "batches": len(ranges),
            "users": len(users),
            "about": mentions.of(spool.findings[users.start : users.stop]),
        }
        batch = payloads.Batch(index, len(ranges), len(spool.sizes))
        try:
            if mould.fits:
                lines = spool.lines(users)
                made = mould.make(values["id"], lines, spool.logins_of(users, lines), batch)
            else:
                made = composing.list_body(on, to, values["id"], spool.read(users), batch)
        except Exception as error:  # noqa: BLE001  a kind's bug is that message's end, not the run's
            yield rows.failed(on, to, error, values)
            continue
        if len(made.rendered.body) > to.kind.max_bytes and len(users) > 1:
            raise _TooLarge(users)
        yield rows.made_row(on, to, made, values)
