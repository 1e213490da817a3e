"""manage.py demo: everything on one machine, from a file of users to verified webhooks."""

import logging
import os
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from cii_project.tools.demo.folder import READY_VARIABLE, Folder, FolderInUse


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Command(BaseCommand):
    help = (
        "Load 2,000 made-up users from five sources, start a receiver, a worker and the pages, run the checks, and "
        "show that each notification arrived. Needs no settings: it keeps its own keys and database in its folder. "
        "Exit codes: 0 every count agrees; 1 one does not, or a part failed."
    )
    # The keys are made by this command: it starts again under its own environment, where all is checked.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="end after the table instead of serving the pages"
        )
        parser.add_argument(
            "--changes", action="store_true", help="move some users in and out of failing first"
        )
        parser.add_argument(
            "--live",
            action="store_true",
            help="read Okta and Entra through their APIs, from scripted servers, instead of files",
        )
        parser.add_argument("--port", type=int, default=0, help="of the pages (default 8000, or a free one)")
        parser.add_argument("--data-dir", type=Path, default=Path(".demo"), metavar="DIR")
        parser.add_argument(
            "--users", type=int, default=2000, metavar="N", help="100 to 4,000 (default 2,000)"
        )
        parser.add_argument(
            "--delay", type=float, default=0.0, metavar="SECONDS", help="of each answer, to watch it"
        )

    def handle(self, *args: object, **options: Any) -> None:
        if not 100 <= options["users"] <= 4000:
            raise CommandError("--users must be between 100 and 4,000.")
        folder = Folder(options["data_dir"])
        try:
            if os.environ.get(READY_VARIABLE) != str(folder.path):
                self._start_again(folder, live=options["live"])
            with folder.locked():
                self._show(folder, options)
        except FolderInUse as error:
            raise CommandError(str(error)) from error

    def _start_again(self, folder: Folder, *, live: bool) -> None:
        """Settings are read once, at the start: replace this process by one with the folder's own."""
        try:
            folder.create()
            with folder.locked():
                environment = folder.environment(os.environ, live=live)
        except OSError as error:
            raise CommandError(f"The data folder cannot be made: {error}") from error
        self.stdout.flush()
        # Our own interpreter and arguments, as we were started.
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606  # nosec B606

    def _show(self, folder: Folder, options: dict[str, Any]) -> None:
        # Imported here: it needs the keys, which the first start does not have.
        from cii_project.tools.demo.show import Demonstration, failure_text

        # A shell starts a background job with SIGINT ignored, and its children inherit that.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        # The parts log to separate files: log lines would hide the demonstration's own.
        logging.disable(logging.INFO)
        console = Console(width=None if sys.stdout.isatty() else 120)
        demonstration = Demonstration(folder, console, delay=options["delay"])
        try:
            pages = demonstration.show(
                users=options["users"],
                port=options["port"],
                changes=options["changes"],
                live=options["live"],
            )
            if not options["once"]:
                demonstration.say(f"Open {pages} and sign in as admin. Ctrl-C ends everything.")
                demonstration.serve()
        except KeyboardInterrupt:
            demonstration.say("Stopping.")
        except Exception as error:
            raise CommandError(failure_text(error)) from error
        finally:
            demonstration.stop()
