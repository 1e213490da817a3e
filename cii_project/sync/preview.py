"""The changes that a sync would make, from its listing alone. Nothing is stored."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

from checks.models import Source
from checks.services import ImportPreview, MappingError, preview_import
from cii_project.errors import ProjectError
from cii_project.sync.budget import Budgets
from cii_project.sync.importing import listing_of
from integrations.models import SourceConnection
from integrations.services import (
    Cursor,
    Fault,
    JsonObject,
    ProviderCall,
    SourceFault,
    api_source,
    source_call,
)

TRIES = 5
MOST_RECORDS = 200_000


class PreviewFailed(ProjectError):
    """The listing could not be read to its end; the text says why."""


def preview_sync(
    connection: SourceConnection,
    source: Source,
    *,
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[int], None] = lambda read: None,
) -> ImportPreview:
    """Read the listing and say what its import would do. Raises :class:`PreviewFailed` and ``ImportRefused``."""
    records = list(_listing(connection, sleep, progress))
    if not records:
        raise PreviewFailed("The provider lists no user: check the permissions under Test Connectivity.")
    try:
        listing = listing_of(connection, source, lambda: iter(records))
    except MappingError as error:
        raise PreviewFailed(str(error)) from None
    return preview_import(listing.records(), source=source, rules=listing.rules)


def _listing(
    connection: SourceConnection, sleep: Callable[[float], None], progress: Callable[[int], None]
) -> Iterator[JsonObject]:
    try:
        call, _ = source_call(connection)
    except SourceFault as fault:
        raise PreviewFailed(str(fault)) from None
    with closing(call):
        yield from _pages(connection, call, sleep, progress)


def _pages(
    connection: SourceConnection,
    call: ProviderCall,
    sleep: Callable[[float], None],
    progress: Callable[[int], None],
) -> Iterator[JsonObject]:
    kind, budgets = api_source(connection), Budgets(connection)
    seen: set[str] = set()
    cursor: Cursor | None = None
    read = tries = 0
    while True:
        while not budgets.take(kind.listing.limit)[0]:
            sleep(0.1)
        try:
            page = kind.fetch(kind.listing, call, cursor)
        except SourceFault as fault:
            tries += 1
            if fault.fault not in (Fault.THROTTLED, Fault.TEMPORARY) or tries > TRIES:
                raise PreviewFailed(str(fault)) from None
            sleep(min(fault.wait or 5.0 * tries, 60.0))
            continue
        read, tries = read + len(page.records), 0
        if read > MOST_RECORDS:
            raise PreviewFailed(f"The listing has more than {MOST_RECORDS:,} users, too many for a dry run.")
        progress(read)
        yield from page.records
        cursor = page.next_cursor
        if cursor is None:
            return
        if str(cursor) in seen:
            raise PreviewFailed("The provider named the same page twice: its list would never end.")
        seen.add(str(cursor))
