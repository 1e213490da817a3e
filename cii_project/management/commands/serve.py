"""manage.py serve: the pages, by the web server that production uses."""

import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cii_project.web.server import create_server
from cii_project.wsgi import application


class Command(BaseCommand):
    help = "Serve the pages over HTTP. Put a proxy that ends TLS in front of it (docs/operations.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--listen", default="127.0.0.1:8000", metavar="HOST:PORT")
        parser.add_argument("--threads", type=int, default=8, help="requests answered at once (default 8)")

    def handle(self, *args: object, **options: Any) -> None:
        listen, threads = options["listen"], options["threads"]
        if threads < 1:
            raise CommandError(f"--threads is {threads}; write a number over 0, such as 8.", returncode=2)
        try:
            made = create_server(application, listen, threads)
        except (OSError, ValueError) as error:
            raise CommandError(
                f"Cannot listen on {listen}: {error}. Write an address of this machine and a free port, "
                "such as --listen 127.0.0.1:8000.",
                returncode=2,
            ) from error
        # Requests under way are answered before the process ends.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        self.stdout.write(f"Serving on http://{listen}")
        self.stdout.flush()
        made.run()
