#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cii_project.settings")
    if sys.stderr.isatty() and sys.argv[1:2] not in (["qcluster"], ["serve"], ["demo"]):
        # At a terminal a command's own output is what a person reads; elsewhere the log is kept. Child processes
        # inherit the level: the demo's log to files, so it turns off its own log alone.
        os.environ.setdefault("LOG_LEVEL", "WARNING")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit("Django is not installed here. Run: pip install -e .") from error
    from django.core.exceptions import ImproperlyConfigured
    from django.db.utils import OperationalError, ProgrammingError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        refuse(f"A setting is wrong: {error} (docs/settings.md)", error)
    except (OperationalError, ProgrammingError) as error:
        refuse(
            f"The database did not answer as it should: {str(error).strip()}\n"
            "If it is new or behind, run: python manage.py setup. Where it is says DATABASE_URL (docs/settings.md).",
            error,
        )


def refuse(text: str, error: Exception) -> None:
    """A mistake of the installation's, not of ours: say what to do. --traceback shows where it came up."""
    if "--traceback" in sys.argv:
        raise error
    sys.stderr.write(text + "\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
