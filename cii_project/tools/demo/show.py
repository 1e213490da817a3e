"""The demonstration itself, in order: set up, import, configure, start, run, wait, compare."""

import logging
import os
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from io import StringIO
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from checks.models import Run, Source, User
from cii_project.errors import ProjectError
from cii_project.management.progress import progress_bar
from cii_project.tools.demo import live_sources, past, result, sample_exports, webhooks
from cii_project.tools.demo.folder import LOOPBACK, RECEIVER_PORT, DemoState, Folder, free_port, is_free
from cii_project.tools.demo.live_sources import LIVE_SOURCES
from cii_project.tools.demo.processes import DemoProcess, Parts
from notifications import services
from notifications.models import Delivery

LISTENING = {"receiver": "listening on", "web server": "Serving on"}
# After this time without progress a dispatch is requested, as the sweep of each minute would.
QUIET_SECONDS = 5.0
STALLED_SECONDS = 300.0


class DemonstrationFailed(ProjectError):
    """The text says what did not agree or did not move."""


class Demonstration:
    def __init__(self, folder: Folder, console: Console, *, delay: float = 0.0) -> None:
        self.folder = folder
        self.console = console
        self.delay = delay
        self.parts = Parts(self.say)
        # The queue's own lines belong to the worker's log, not between ours.
        logging.getLogger("django-q").setLevel(logging.WARNING)

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    # --- The steps ---

    def show(self, *, users: int, port: int, changes: bool, live: bool = False) -> str:
        """Everything up to the table; returns the pages' address. Raises :class:`DemonstrationFailed`."""
        if port and not is_free(port):
            raise DemonstrationFailed(f"Port {port} is taken. Give another --port, or none for a free one.")
        state = self._state(users, changes)
        self._set_up()
        if live and not state.live and Source.objects.exists():
            raise DemonstrationFailed(
                f"{self.folder.path} was filled from files. Give another --data-dir for --live, or delete that folder."
            )
        state.live = state.live or live
        self._import(state)
        self._past(state)
        state.web_port = free_port(port or state.web_port or 8000)
        state.receiver_port = int(os.environ[RECEIVER_PORT])
        self.folder.save(state)
        pages = f"http://{LOOPBACK}:{state.web_port}"
        self._start_receiver(state.receiver_port)
        self._configure(f"http://{LOOPBACK}:{state.receiver_port}", pages)
        self._start_worker_and_web(state.web_port)
        run = self._run()
        self._wait()
        self._compare(run)
        return pages

    def _state(self, users: int, changes: bool) -> DemoState:
        state = self.folder.load()
        if state is None:
            state = self.folder.new_state(users)
            self.folder.save(state)
            if changes:
                self.say(
                    "This folder is new: the first run comes before any changes; run --changes once more after it."
                )
        elif state.users != users:
            text = f"{self.folder.path} holds {state.users:,} users. Give another --data-dir, or delete that folder."
            raise DemonstrationFailed(text)
        elif changes:
            state.version += 1
        return state

    def _set_up(self) -> None:
        started = time.monotonic()
        call_command("setup", verbosity=0, stdout=StringIO())
        self.say(
            f"Database, catalogue, groups and schedules are in place ({time.monotonic() - started:.1f} s)."
        )
        people = get_user_model().objects
        if people.filter(username="admin").exists():
            self.say("Sign in as admin, with the password that the first run printed.")
            return
        password = secrets.token_urlsafe(15)
        people.create_superuser("admin", "admin@acme.example", password)
        self.say(f"Administrator, shown this once:   login admin   password {password}")

    def _import(self, state: DemoState) -> None:
        records = sample_exports.build(
            datetime.fromisoformat(state.now), users=state.users, version=state.version, seed=state.seed
        )
        sample_exports.write(self.folder.files, records)
        if state.version > 1:
            self.say(f"Version {state.version} of the data: some users now pass, others now fail.")
        for source in sample_exports.SAMPLE_SOURCES:
            if state.live and source.slug in LIVE_SOURCES:
                self._sync(source, records[source.slug], state)
                continue
            output = StringIO()
            files = self.folder.files
            mapping = str(files / source.map_file) if source.map_file else None
            call_command(
                "import_users",
                str(files / source.file_name),
                source=source.slug,
                name=source.name,
                provider=source.provider,
                kind=source.kind,
                map_file=mapping,
                stdout=output,
            )
            self.say(f"  {output.getvalue().strip()}")
        self.say(f"{User.objects.count():,} users, joined over {len(sample_exports.SAMPLE_SOURCES)} sources.")

    def _sync(
        self, source: sample_exports.SourceFile, records: list[sample_exports.SampleRecord], state: DemoState
    ) -> None:
        """Serve the records as the provider's API, and sync them."""
        make = live_sources.scripted_okta if source.slug == "okta" else live_sources.scripted_entra
        port = int(os.environ[LIVE_SOURCES[source.slug]])
        setattr(state, f"{source.slug}_port", port)
        server = live_sources.start_server(make(records), port)
        source_connection = live_sources.connect(source.slug, source.name, server)
        with progress_bar() as progress:
            done = live_sources.sync_now(
                source_connection, lambda sync: progress(sync.calls, len(records), f"Syncing {source.name}")
            )
        listing = done.passes.get(position=0)
        self.say(
            f"  {source.name} on {server.url}: {listing.records:,} accounts in {done.calls:,} calls, "
            f"{listing.created:,} new, {listing.changed:,} changed."
        )

    def _past(self, state: DemoState) -> None:
        """Before the first run: daily runs of the last sixty days, for the trends of the pages."""
        if Run.objects.exists():
            return
        started = time.monotonic()
        findings = past.write_past(datetime.fromisoformat(state.now), state.seed)
        self.say(
            f"A past of {past.DAYS} daily runs with {findings:,} findings, cured or still open "
            f"({time.monotonic() - started:.1f} s). The run that comes now finds what is new today."
        )

    def _start_receiver(self, port: int) -> None:
        keys = self.folder.keys()
        command = [
            *("manage.py", "receiver", "--port", str(port), "--log", str(self.folder.receiver_log)),
            *("--delay", str(self.delay)),
        ]
        # In the environment: ps shows a command line to every user of the machine.
        secrets = {
            "RECEIVER_BASIC": f"{webhooks.BASIC_USER}:{keys['DEMO_SOAR_PASSWORD']}",
            "RECEIVER_API_KEY": f"{webhooks.API_KEY_HEADER}={keys['DEMO_FLOW_TOKEN']}",
            "RECEIVER_BEARER": f"{webhooks.CLIENT_ID}:{keys['DEMO_SIEM_SECRET']}",
            "RECEIVER_SIGNING_SECRETS": " ".join(
                keys[f"DEMO_{name}_SIGNING_SECRET"] for name in ("SOAR", "FLOW", "SIEM")
            ),
        }
        self.folder.receiver_log.touch(mode=0o600)
        self._start("receiver", command, secrets)
        self.say(f"Receiver on http://{LOOPBACK}:{port}, its log in {self._shown(self.folder.receiver_log)}")

    def _start(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        log = self.folder.logs / f"{name.replace(' ', '-')}.log"
        self.parts.start(DemoProcess(name, command, log, environment or {}), LISTENING.get(name, ""))

    def _shown(self, path: Path) -> str:
        return os.path.relpath(path)

    def _configure(self, receiver: str, pages: str) -> None:
        self.folder.configuration.write_text(webhooks.as_yaml(receiver, pages), encoding="utf-8")
        output = StringIO()
        call_command("apply_config", self.folder.configuration, stdout=output)
        changes = [line for line in output.getvalue().splitlines() if line != "Nothing changed."]
        shown = self._shown(self.folder.configuration)
        self.say(
            f"{shown} applied: {len(changes) or 'no'} changes. Webhooks: {', '.join(webhooks.WEBHOOK_NAMES)}."
        )

    def _start_worker_and_web(self, port: int) -> None:
        self._start("worker", ["manage.py", "qcluster"])
        self._start("web server", ["manage.py", "serve", f"--listen={LOOPBACK}:{port}"])
        self.say(f"One worker cluster, and the pages on http://{LOOPBACK}:{port}")

    def _run(self) -> Run:
        with progress_bar() as progress:
            run = services.run_and_notify(trigger=Run.Trigger.COMMAND, progress=progress)
        if run.state == Run.State.FAILED:
            raise DemonstrationFailed(f"The run failed: {run.error}")
        return run

    def _wait(self) -> None:
        """Wait until every delivery is settled, and watch that the worker still runs."""
        total = Delivery.objects.filter(state__in=Delivery.OPEN).count()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bar:
            task = bar.add_task("Delivering", total=total)
            moved, left = time.monotonic(), total
            rung = moved
            while left:
                self.parts.watch()
                time.sleep(0.1)
                now, before = time.monotonic(), left
                left = Delivery.objects.filter(state__in=Delivery.OPEN).count()
                bar.update(task, completed=total - left)
                moved = now if left != before else moved
                if now - max(moved, rung) > QUIET_SECONDS:
                    services.request_dispatch()
                    rung = now
                if now - moved > STALLED_SECONDS:
                    logs = self._shown(self.folder.logs)
                    raise DemonstrationFailed(f"{left} deliveries do not move; see {logs}/worker.log.")

    def _compare(self, run: Run) -> None:
        received = result.read_log(self.folder.receiver_log)
        rows = result.compare_run(run, received)
        if sum(row.new for row in rows):
            self.console.print(result.comparison_table(rows))
        else:
            failing = sum(row.failing for row in rows)
            self.say(
                f"No new failing users: nothing was sent. ({failing:,} findings are known from earlier runs.)"
            )
        if received.repeats:
            self.say(
                f"{received.repeats} events came more than once, with the same id: a receiver drops those."
            )
        if received.rejected:
            text = "requests in all were refused and sent again: a receiver that was restarted knows no older token."
            self.say(f"{received.rejected} {text}")
        if received.unreadable:
            lines = ", ".join(map(str, received.unreadable[:5]))
            self.say(f"{self._shown(self.folder.receiver_log)}: not readable, and skipped: line {lines}.")
        if found := result.disagreements(rows, received):
            raise DemonstrationFailed("The counts do not agree:\n" + "\n".join(f"  {text}" for text in found))
        total = len(received.users)
        self.say(
            f"Every count agrees. {total:,} events of this folder are delivered and verified, each once by id."
        )

    # --- The end ---

    def serve(self) -> None:
        """Until Ctrl-C; a part that dies is started again."""
        while True:
            self.parts.watch()
            time.sleep(0.5)

    def stop(self) -> None:
        connection.close()
        self.parts.stop()


def failure_text(error: BaseException) -> str:
    """The text for a person about a step that was refused."""
    return (
        str(error)
        if isinstance(error, CommandError | DemonstrationFailed)
        else f"{type(error).__name__}: {error}"
    )
