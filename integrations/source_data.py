"""The values that pass between a kind of source and the driver that syncs it. No ORM, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from integrations.errors import IntegrationError
from integrations.json_types import JsonMapping, JsonObject

# The place at which a listing continues: a JSON object that only the kind reads.
Cursor = JsonObject


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One connected source with its secrets unsealed. ``secrets`` holds what ``settings`` leaves out."""

    id: int
    slug: str
    kind: str
    settings: JsonMapping = field(repr=False)
    secrets: JsonMapping = field(repr=False, default_factory=dict)
    # What the kind said of the file that was imported last (RecordPage.version); empty: read whatever there is.
    known_version: JsonMapping = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class RateSeen:
    """The vendor's limit as an answer states it: calls per window, calls left, seconds until the window
    ends."""

    limit: float
    remaining: float
    reset_in: float


@dataclass(frozen=True, slots=True)
class RecordPage:
    """The result of one request. ``records``: dicts of fields of the record, each with ``source_key``.
    ``next_cursor``: None after the last page. ``rates``: by the name of the limit. ``calls``: requests that it took.

    Of a file: ``version`` is what the provider says of it, such as its ETag, and ``note`` a sentence for the history.
    ``is_unchanged``: the file is the one of ``known_version`` and was not read.
    """

    records: Sequence[JsonObject] = ()
    next_cursor: Cursor | None = None
    rates: Mapping[str, RateSeen] = field(default_factory=dict)
    calls: int = 1
    version: JsonObject = field(default_factory=dict)
    note: str = ""
    is_unchanged: bool = False


class Fault(StrEnum):
    """Why a request brought no page, and what follows."""

    THROTTLED = "throttled"  # wait, then ask again
    TEMPORARY = "temporary"  # ask again, later each time
    CREDENTIAL = "credential"  # 401: the sync ends
    PERMISSION = "permission"  # 403: the pass ends, its fields stay as they were
    LICENCE = "licence"  # not in the customer's licence: the pass ends, its fields stay unknown
    GONE = "gone"  # 404 of one account: it is skipped
    EXPIRED = "expired"  # the place in the list is not valid any longer: the pass starts again
    REFUSED = "refused"  # another request would have to be sent: the pass ends
    OURS = "ours"  # a fault of this machine or its settings


class SourceFault(IntegrationError):
    """A request brought no page. The message is a sentence without secrets; ``wait`` is in seconds, None where the
    provider does not say how long."""

    def __init__(
        self,
        reason: str,
        fault: Fault,
        *,
        status: int | None = None,
        wait: float | None = None,
        rates: Mapping[str, RateSeen] | None = None,
    ) -> None:
        super().__init__(reason)
        self.fault, self.status, self.wait, self.rates = fault, status, wait, dict(rates or {})


class Permission(StrEnum):
    """The result of testing one permission."""

    GRANTED = "granted"
    MISSING = "missing"
    UNLICENSED = "unlicensed"
    UNCLEAR = "unclear"  # the test itself failed


@dataclass(frozen=True, slots=True)
class PermissionResult:
    """The test of what one pass needs. ``groups``: the field groups that stay unknown without it."""

    name: str
    state: Permission
    detail: str = ""
    groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of Test Connectivity. ``users``: how many were seen on the first page, and whether there are
    more.

    ``rates``: by the name of the limit. ``clock_skew``: seconds that the provider's clock is ahead of this machine's.
    ``needed``: how many of the first permissions a sync cannot do without.
    ``columns``: of a file, in its order.
    """

    permissions: Sequence[PermissionResult]
    users: int | None = None
    more_users: bool = False
    rates: Mapping[str, RateSeen] = field(default_factory=dict)
    clock_skew: float | None = None
    needed: int = 1
    columns: Sequence[str] = ()

    @property
    def can_list(self) -> bool:
        """Whether a sync would read anything: the first permissions are those of the listing."""
        first = self.permissions[: self.needed]
        return len(first) == self.needed and all(each.state is Permission.GRANTED for each in first)
