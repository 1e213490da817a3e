"""Works on one sync for some seconds: pages into the spool, and the spool into accounts.

A worker takes the sync's claim, so that no two work on it. Each page is stored with the checkpoint in one transaction,
under the claim: a worker that is killed loses one page, one that lost its claim stores nothing. No transaction is open
during a request. A wait longer than some seconds ends the task; the sweep finds the sync when it is due.
"""

import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from structlog.contextvars import bound_contextvars

from checks.models import Import, Source
from checks.services import AllRecordsBad, ImportRefused, MappingError
from cii_project.errors import ProjectError
from cii_project.imports.connected_files import mapping_digest
from cii_project.sync import change_logs, spool
from cii_project.sync.budget import Budgets
from cii_project.sync.importing import ListingEmpty, ListingHeld, import_group, import_listing
from cii_project.sync.rotation import planned_accounts
from integrations.models import RateBucket, SourceConnection, Sync, SyncPass
from integrations.services import (
    ApiSource,
    Fault,
    JsonObject,
    ProviderCall,
    RecordPage,
    SourceFault,
    SyncPassKind,
    UnsealError,
    api_source,
    source_call,
)

log = logging.getLogger(__name__)

SLICE_SECONDS = 20.0
# A worker sleeps this long at most; longer waits end the task.
SHORT_WAIT = 5.0
LEASE = timedelta(minutes=3)
IMPORT_LEASE = timedelta(minutes=15)
# Calls of a pass with one call for each account that are stored together, and made at a time.
BATCH, THREADS = 20, 4
MAX_FAULTS = 8
# A pass whose places belong to one connection: seconds for which it is read without a pause, and how often it
# is started again.
SESSION_SECONDS = 1800.0
MAX_RESTARTS = 5
BACKOFF_BASE, BACKOFF_CAP = 5.0, 600.0
# Waits for a limit of a provider that does not say how long to wait.
THROTTLE_BASE, THROTTLE_CAP = 2.0, 60.0
# A sync that does not end in this time is given up.
LONGEST = timedelta(days=3)
RETRY_AFTER_FAILURE = timedelta(hours=1)
# What an answer that brings something changes in a sync.
ANSWERED: JsonObject = {"faults": 0, "throttles": 0, "fault_reason": ""}
UNEXPECTED = "An unexpected error stopped the worker. The log of the server says more."

Sleep = Callable[[float], None]


class ClaimLost(ProjectError):
    """Another worker has the sync, or it ended: this worker stores nothing more of it."""


class _Wait(Exception):
    """The next call is allowed after this number of seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class _PassFailed(Exception):
    """A pass cannot continue; the others do, unless it is the listing."""


class _SyncFailed(Exception):
    """No pass can continue."""


def advance(sync_id: int, *, seconds: float = SLICE_SECONDS, sleep: Sleep = time.sleep) -> bool:
    """Work on a sync for about ``seconds``; whether it wants to be called again at once."""
    claim, now = secrets.token_hex(16), timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    claimable = Sync.objects.filter(
        free,
        pk=sync_id,
        state=Sync.State.RUNNING,
        due_at__lte=now,
        connection__state=SourceConnection.State.ACTIVE,
    )
    if not claimable.update(claim=claim, claimed_until=now + LEASE):
        return False
    sync = Sync.objects.select_related("connection").get(pk=sync_id)
    worker = _Worker(sync, claim, sleep)
    with bound_contextvars(sync_id=sync_id):
        try:
            return worker.work(monotonic() + seconds)
        except ClaimLost:
            log.warning("A sync was taken by another worker", extra=worker.log_fields)
            return False
        except Exception:
            log.exception("An unexpected error stopped the work on a sync", extra=worker.log_fields)
            worker.postpone(UNEXPECTED)
            return False
        finally:
            worker.close()
            Sync.objects.filter(pk=sync_id, claim=claim).update(claim="", claimed_until=None)


class _Worker:
    def __init__(self, sync: Sync, claim: str, sleep: Sleep) -> None:
        self.sync, self.claim, self.sleep = sync, claim, sleep
        self.connection = sync.connection
        self.budgets = Budgets(self.connection)
        self.has_renewed = False
        self._call: ProviderCall | None = None
        # Whether the next page can be asked for on this worker's connection alone.
        self._in_session = False
        self.log_fields = {"source": self.connection.source_slug, "sync": sync.pk}

    @property
    def kind(self) -> ApiSource:
        return api_source(self.connection)

    def work(self, until: float) -> bool:
        """Do steps until the time is over or a longer wait is needed; returns whether the sync can continue
        at once."""
        session_until = max(until, monotonic() + SESSION_SECONDS)
        while True:
            try:
                if self._step():
                    return False
            except _Wait as wait:
                if wait.seconds > SHORT_WAIT:
                    self._fence(due_at=timezone.now() + timedelta(seconds=wait.seconds))
                    return False
                self.sleep(wait.seconds)
            except _SyncFailed as failure:
                self._fail(str(failure))
                return False
            if monotonic() >= (session_until if self._in_session else until):
                return True

    def close(self) -> None:
        """End this worker's connection with the provider."""
        if self._call is not None:
            self._call.close()

    def postpone(self, reason: str) -> None:
        """After an error of this program: try again later, as after a fault of the provider, and then give up."""
        try:
            self._try_later(SourceFault(reason, Fault.OURS))
        except _Wait as wait:
            self._fence(due_at=timezone.now() + timedelta(seconds=wait.seconds))
        except _PassFailed as failure:
            self._fail(str(failure))
        except ClaimLost:
            log.warning("A sync was taken by another worker", extra=self.log_fields)

    def _step(self) -> bool:
        """One page, one batch, or one import; whether the sync has ended."""
        # A listing may have been held for days before a member released it.
        if timezone.now() - self.sync.created_at > LONGEST and not self.sync.is_forced:
            raise _SyncFailed(f"The sync did not end within {LONGEST.days} days.")
        open_states = (SyncPass.State.WAITING, SyncPass.State.READING, SyncPass.State.READ)
        reading = self.sync.passes.filter(state__in=open_states).order_by("position").first()
        if reading is None:
            self._finish()
            return True
        try:
            kind = self.kind.pass_of(reading.slug)
        except KeyError:
            text = "This version does not know this kind of source or one of its passes."
            raise _SyncFailed(text) from None
        try:
            source = self._source()
            if reading.state == SyncPass.State.WAITING:
                self._start(reading, kind, source)
            elif reading.state == SyncPass.State.READING:
                self._read(reading, kind)
            else:
                return self._import(reading, kind, source)
        except UnsealError as error:
            raise _SyncFailed(str(error)) from None
        except _PassFailed as failure:
            self._fail_pass(reading, kind, str(failure))
        return False

    def _source(self) -> Source:
        source = Source.objects.filter(slug=self.connection.source_slug, deleted_at__isnull=True).first()
        if source is None:
            raise _SyncFailed("The source was deleted.")
        return source

    # --- Reading ---

    def _start(self, reading: SyncPass, kind: SyncPassKind, source: Source) -> None:
        with transaction.atomic():
            self._fence()
            reading.state, reading.started_at = SyncPass.State.READING, timezone.now()
            if kind.per_account:
                self._plan(reading, kind, source)
            elif kind.changes:
                change_logs.start_reading(reading, kind.changes, reading.started_at)
            if self.kind.reads_file:
                reading.version = {"mapping": mapping_digest(source, self.connection.settings)}
                if self.connection.read_version.get("mapping") != reading.version["mapping"]:
                    # The same file is read in another way now.
                    self.connection.read_version = {}
                    self.connection.save(update_fields=["read_version"])
            reading.save()

    def _plan(self, reading: SyncPass, kind: SyncPassKind, source: Source) -> None:
        named = change_logs.changed_accounts(self.sync, kind)
        plan = planned_accounts(self.connection, source, kind, self._calls_a_minute(kind), named)
        spool.add_plan(reading, plan.keys)
        change_logs.forget_named(self.sync, kind)
        reading.expected, reading.note = len(plan.keys), plan.note
        reading.cursor = {"at": 0, "all": plan.is_all, **plan.counts}
        if not plan.keys:
            reading.state = SyncPass.State.READ

    def _calls_a_minute(self, kind: SyncPassKind) -> float:
        row = RateBucket.objects.filter(connection=self.connection, name=kind.limit.name).first()
        calls, window = (row.calls, row.window_seconds) if row else (kind.limit.calls, kind.limit.window)
        return calls / window * 60 * self.connection.rate_share / 100

    def _read(self, reading: SyncPass, kind: SyncPassKind) -> None:
        if kind.per_account:
            self._read_accounts(reading, kind)
        else:
            self._read_page(reading, kind)

    def _read_page(self, reading: SyncPass, kind: SyncPassKind) -> None:
        if spool.was_read(reading, reading.cursor):
            raise _PassFailed("The provider named the same page twice: its list would never end.")
        self._take(kind, 1)
        cursor = reading.cursor
        self._in_session = False
        try:
            page = self.kind.fetch(kind, self._requests(), cursor)
        except SourceFault as fault:
            if fault.fault is Fault.EXPIRED:
                self._start_again(reading, fault)
            else:
                self._handle(fault, kind)
            return
        self._in_session = kind.one_session and page.next_cursor is not None
        if page.is_unchanged:
            self._keep_unchanged(reading, page)
            return
        with transaction.atomic():
            self._fence(calls=F("calls") + page.calls, **ANSWERED)
            spool.add_page(reading, cursor, page.records)
            reading.pages += 1
            reading.records += len(page.records)
            reading.cursor = page.next_cursor
            if page.next_cursor is None:
                reading.state = SyncPass.State.READ
                reading.version, reading.note = {**reading.version, **page.version}, page.note[:500]
            reading.save()
        self.budgets.answered(kind.limit, page.rates)

    def _keep_unchanged(self, reading: SyncPass, page: RecordPage) -> None:
        """The file is the one that was imported last: its accounts stay as they are, and are as of now."""
        now = timezone.now()
        with transaction.atomic():
            self._fence(calls=F("calls") + page.calls, **ANSWERED)
            reading.state, reading.finished_at = SyncPass.State.IMPORTED, now
            reading.note = page.note[:500]
            reading.save()
            self.connection.last_success_at = now
            self.connection.save(update_fields=["last_success_at"])

    def _start_again(self, reading: SyncPass, fault: SourceFault) -> None:
        """Read a pass from its first page: the place that was reached is not valid any longer."""
        if reading.restarts >= MAX_RESTARTS:
            raise _PassFailed(f"{fault} It was started {reading.restarts + 1} times.")
        with transaction.atomic():
            self._fence(calls=F("calls") + 1, fault_reason=str(fault)[:500])
            spool.drop([reading])
            reading.cursor = change_logs.first_cursor(reading)
            reading.pages, reading.records = 0, 0
            reading.restarts += 1
            reading.started_at = timezone.now()
            reading.save()
        log.warning(
            "A pass starts again", extra=self.log_fields | {"pass": reading.slug, "reason": str(fault)}
        )

    def _read_accounts(self, reading: SyncPass, kind: SyncPassKind) -> None:
        at = int((reading.cursor or {}).get("at", 0))
        keys = spool.planned(reading, at, BATCH)
        count = self._take(kind, len(keys))
        pages, fault = self._fetch_accounts(kind, keys[:count])
        if pages:
            self._store_accounts(reading, pages, at)
            newest = next((page for page in reversed(pages) if page), None)
            if newest:
                self.budgets.answered(kind.limit, newest.rates)
        if fault:
            self._handle(fault, kind)

    def _fetch_accounts(
        self, kind: SyncPassKind, keys: list[str]
    ) -> tuple[list[RecordPage | None], SourceFault | None]:
        """The pages of these accounts up to the first fault; None for an account that is gone."""
        call, source_kind = self._requests(), self.kind

        def fetch(key: str) -> RecordPage | SourceFault:
            try:
                return source_kind.fetch_account(kind, call, key)
            except SourceFault as fault:
                return fault

        with ThreadPoolExecutor(THREADS, thread_name_prefix="sync") as threads:
            found = list(threads.map(fetch, keys))
        pages: list[RecordPage | None] = []
        for page in found:
            if isinstance(page, SourceFault):
                if page.fault is not Fault.GONE:
                    return pages, page
                pages.append(None)
            else:
                pages.append(page)
        return pages, None

    def _store_accounts(self, reading: SyncPass, pages: list[RecordPage | None], at: int) -> None:
        records: list[JsonObject] = [record for page in pages if page for record in page.records]
        with transaction.atomic():
            self._fence(calls=F("calls") + len(pages), **ANSWERED)
            spool.add_page(reading, {"at": at}, records)
            reading.pages += 1
            reading.records += len(records)
            reading.done += len(pages)
            reading.skipped += pages.count(None)
            reading.cursor = {**(reading.cursor or {}), "at": at + len(pages)}
            if reading.done >= (reading.expected or 0):
                reading.state = SyncPass.State.READ
            reading.save()

    def _take(self, kind: SyncPassKind, most: int) -> int:
        count, wait = self.budgets.take(kind.limit, most)
        if not count:
            raise _Wait(wait)
        return count

    def _requests(self) -> ProviderCall:
        if self._call is None:
            try:
                self._call, _ = source_call(self.connection)
            except SourceFault as fault:
                self._handle(fault, None)
        assert self._call is not None  # noqa: S101  _handle raises
        return self._call

    def _handle(self, fault: SourceFault, kind: SyncPassKind | None) -> None:
        """Handle a fault: waits raise :class:`_Wait`, other faults end the pass or the sync."""
        log.info(
            "A call of a sync failed", extra=self.log_fields | {"fault": fault.fault, "reason": str(fault)}
        )
        if kind:
            self.budgets.answered(kind.limit, fault.rates)
        match fault.fault:
            case Fault.THROTTLED:
                self._wait_for_limit(fault, kind)
            case Fault.TEMPORARY | Fault.OURS:
                self._try_later(fault)
            case Fault.CREDENTIAL:
                self._renew(fault)
            case _:
                raise _PassFailed(str(fault))

    def _wait_for_limit(self, fault: SourceFault, kind: SyncPassKind | None) -> None:
        """Wait as long as the provider says, else as the kind does; where neither does, 2 seconds, and twice as long for each
        refusal since the last answer."""
        self.sync.refresh_from_db(fields=["throttles"])
        throttles = self.sync.throttles + 1
        seconds = fault.wait
        if seconds is None and self._call is not None:
            seconds = self._call.throttle_wait
        if seconds is None:
            # The power of a larger number is no float.
            seconds = min(THROTTLE_BASE * 2.0 ** min(throttles - 1, 10), THROTTLE_CAP)
        if kind:
            self.budgets.pause(kind.limit, seconds)
        self._fence(
            throttles=throttles,
            waited_seconds=F("waited_seconds") + seconds,
            calls=F("calls") + 1,
            fault_reason=str(fault)[:500],
        )
        raise _Wait(seconds)

    def _try_later(self, fault: SourceFault) -> None:
        self.sync.refresh_from_db(fields=["faults"])
        faults = self.sync.faults + 1
        if faults > MAX_FAULTS:
            raise _PassFailed(f"{fault} It was tried {faults} times.")
        self._fence(faults=faults, calls=F("calls") + 1, fault_reason=str(fault)[:500])
        raise _Wait(fault.wait or min(BACKOFF_BASE * 2.0 ** (faults - 1), BACKOFF_CAP))

    def _renew(self, fault: SourceFault) -> None:
        """After a 401: once with another token, where there are tokens."""
        if not self.connection.sealed_token or self.has_renewed:
            raise _SyncFailed(f"The provider does not accept the credential. {fault}")
        self.has_renewed = True
        try:
            self._call, _ = source_call(self.connection, renew=True)
        except SourceFault as problem:
            if problem.fault in (Fault.THROTTLED, Fault.TEMPORARY, Fault.OURS):
                self._call = None
                self._try_later(problem)
            raise _SyncFailed(str(problem)) from None

    # --- Importing ---

    def _import(self, reading: SyncPass, kind: SyncPassKind, source: Source) -> bool:
        self._fence(claimed_until=timezone.now() + IMPORT_LEASE)
        if kind.changes:
            self._keep_named(reading)
            return False
        try:
            if reading.position == 0:
                done: Import | None = import_listing(
                    self.connection,
                    source,
                    reading,
                    is_forced=self.sync.is_forced,
                    progress=self._hold_on,
                )
            else:
                is_all = not kind.per_account or bool((reading.cursor or {}).get("all"))
                done = import_group(source, kind, reading, is_complete=is_all, progress=self._hold_on)
        except ListingHeld as held:
            self._hold(reading, held)
            return True
        except (ListingEmpty, MappingError) as error:
            raise _SyncFailed(str(error)) from None
        except AllRecordsBad as refused:
            raise _SyncFailed(f"The import was refused: {refused}.") from None
        except ImportRefused as refused:
            self._try_later(SourceFault(f"The import was refused: {refused}.", Fault.OURS))
        else:
            self._imported(reading, done)
        return False

    def _hold_on(self, read: int) -> None:
        self._fence(claimed_until=timezone.now() + IMPORT_LEASE)

    def _imported(self, reading: SyncPass, done: Import | None) -> None:
        with transaction.atomic():
            self._fence(faults=0, fault_reason="")
            _note_counts(reading, done)
            reading.state, reading.finished_at = SyncPass.State.IMPORTED, timezone.now()
            reading.save()
            spool.drop([reading])
            if reading.position == 0:
                _supersede(self.sync)
                self.connection.read_version = reading.version if _tells_a_version(reading) else {}
                self.connection.save(update_fields=["read_version"])
        log.info(
            "A pass was imported", extra=self.log_fields | {"pass": reading.slug, "records": reading.records}
        )

    def _keep_named(self, reading: SyncPass) -> None:
        """The end of a log: what it named is no value, and waits for the pass that reads these accounts."""
        with transaction.atomic():
            self._fence(faults=0, fault_reason="")
            change_logs.finish_reading(reading)
            reading.state, reading.finished_at = SyncPass.State.IMPORTED, timezone.now()
            reading.save()

    # --- Ends ---

    def _hold(self, reading: SyncPass, held: ListingHeld) -> None:
        with transaction.atomic():
            self._fence(state=Sync.State.HELD, held=held.held, error=str(held))
            _supersede(self.sync)
        log.warning("A listing is held", extra=self.log_fields | {"missing": held.held["missing"]})

    def _finish(self) -> None:
        failed = self.sync.passes.exclude(error="").exists()
        state = Sync.State.PARTIAL if failed else Sync.State.SUCCEEDED
        self._fence(state=state, finished_at=timezone.now(), fault_reason="")
        log.info("A sync has ended", extra=self.log_fields | {"state": state})

    def _fail_pass(self, reading: SyncPass, kind: SyncPassKind, reason: str) -> None:
        """The listing ends the sync. A pass that asks account by account is imported as far as it came. A log without an
        answer leaves no field unread."""
        if reading.position == 0:
            raise _SyncFailed(reason)
        with transaction.atomic():
            self._fence(faults=0, fault_reason="")
            if kind.changes:
                reading.note = change_logs.FAILED.format(reason=reason)[:500]
            else:
                reading.error = reason[:500]
            if reading.state == SyncPass.State.READING and reading.expected and reading.records:
                reading.state = SyncPass.State.READ
                reading.cursor = {**(reading.cursor or {}), "all": False}
            else:
                reading.state, reading.finished_at = SyncPass.State.FAILED, timezone.now()
                spool.drop([reading])
            reading.save()
        log.warning("A pass failed", extra=self.log_fields | {"pass": reading.slug, "reason": reason})

    def _fail(self, reason: str) -> None:
        now = timezone.now()
        with transaction.atomic():
            self._fence(state=Sync.State.FAILED, finished_at=now, error=reason[:500], fault_reason="")
            open_passes = self.sync.passes.exclude(state=SyncPass.State.IMPORTED)
            # What a log named waits in a pass that is not open.
            spool.drop(self.sync.passes.all())
            open_passes.update(state=SyncPass.State.FAILED, finished_at=now)
            later = SourceConnection.objects.filter(
                pk=self.connection.pk, next_sync_at__gt=now + RETRY_AFTER_FAILURE
            )
            later.update(next_sync_at=now + RETRY_AFTER_FAILURE)
        log.error("A sync failed", extra=self.log_fields | {"reason": reason})

    def _fence(self, **values: object) -> None:
        """Write to the sync while this worker has it. Raises :class:`ClaimLost`."""
        values.setdefault("claimed_until", timezone.now() + LEASE)
        mine = Sync.objects.filter(pk=self.sync.pk, claim=self.claim, state=Sync.State.RUNNING)
        if not mine.update(**values):
            raise ClaimLost("Another worker has this sync.")


def _tells_a_version(reading: SyncPass) -> bool:
    """Whether the provider said something by which the same file is known again."""
    return bool(set(reading.version) - {"mapping"})


def _note_counts(reading: SyncPass, done: Import | None) -> None:
    if done is None:
        return
    reading.import_id = done.pk
    for name in ("created", "changed", "unchanged", "deleted", "rejected"):
        setattr(reading, name, getattr(done, name))


def _supersede(sync: Sync) -> None:
    """A newer complete listing replaces a held one."""
    held = Sync.objects.filter(connection=sync.connection, state=Sync.State.HELD).exclude(pk=sync.pk)
    for old in held:
        spool.drop(old.passes.all())
    held.update(state=Sync.State.DROPPED, finished_at=timezone.now(), decision="Replaced by a newer listing.")
