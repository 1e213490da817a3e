"""Trying with one call what a pass needs."""

from collections.abc import Callable, Sequence
from functools import partial

from integrations.source_data import (
    Fault,
    Permission,
    PermissionResult,
    ProbeResult,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import ApiSource, SyncPassKind
from integrations.sources.shared.source_call import SourceCall

Attempt = Callable[[], str]


def try_permission(
    reading: SyncPassKind, attempt: Attempt, scopes: Sequence[str] | None = None
) -> PermissionResult:
    """The result of a call. ``attempt`` returns "" or why the permission is missing although the call succeeded.

    ``scopes``: those of the access token, where it names them.
    """

    def result(state: Permission, detail: str = "") -> PermissionResult:
        return PermissionResult(reading.label, state, detail, tuple(reading.groups))

    if scopes is not None and reading.needs and reading.needs not in scopes:
        return result(Permission.MISSING, f"{reading.needs} is not granted.")
    try:
        problem = attempt()
    except SourceFault as fault:
        needs = f" It needs {reading.needs}." if fault.fault is Fault.PERMISSION and reading.needs else ""
        return result(_state(fault), f"{fault}{needs}")
    return result(Permission.MISSING, problem) if problem else result(Permission.GRANTED)


def probe_passes(
    kind: ApiSource,
    source: SourceSettings,
    call: SourceCall,
    list_users: Callable[[], tuple[int, bool]],
    look: Callable[[str], object],
) -> ProbeResult:
    """Try the listing, and if it is granted each other pass of the source, with one call each.

    ``list_users()``: the number of users on the first page, and whether there are more; ``look(slug)`` makes the call of
    another pass. Both raise :class:`~integrations.source_data.SourceFault`.
    """
    users, more = 0, False

    def list_first() -> str:
        nonlocal users, more
        users, more = list_users()
        return "" if users else "The credential is accepted, and no user is visible."

    def attempt(slug: str) -> str:
        look(slug)
        return ""

    results = [try_permission(kind.listing, list_first)]
    if results[0].state is Permission.GRANTED:
        others = kind.passes_of(source.settings)[1:]
        results += [try_permission(reading, partial(attempt, reading.slug)) for reading in others]
    return ProbeResult(results, users, more, {}, call.clock_skew)


def _state(fault: SourceFault) -> Permission:
    if fault.fault is Fault.LICENCE:
        return Permission.UNLICENSED
    return Permission.MISSING if fault.fault in (Fault.PERMISSION, Fault.CREDENTIAL) else Permission.UNCLEAR
