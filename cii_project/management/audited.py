"""Management commands that change something or send something: each run is recorded in the audit trail."""

import logging
import os
import platform
import pwd
from collections.abc import Mapping
from functools import cached_property

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from structlog.contextvars import bound_contextvars

from cii_project.audit.services import Action, Actor, ActorKind, acting, record
from integrations.services import JsonObject

log = logging.getLogger(__name__)

# Options of every Django command, which are left out of the audit trail.
COMMON_OPTIONS = {
    "verbosity", "settings", "pythonpath", "traceback", "no_color", "force_color", "skip_checks", "stdout", "stderr",
}  # fmt: skip


def command_actor() -> Actor:
    """The operating system's user and the host. LOGNAME and USER are not used: the caller can set them."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an entry in /etc/passwd
        name = f"uid {os.getuid()}"
    return Actor(ActorKind.COMMAND, name, platform.node())


class AuditedCommand(BaseCommand):
    """A command defines ``run`` in the place of ``handle``, and may put counts into ``outcome``.

    None of its options may hold a secret: they are recorded.
    """

    @cached_property
    def outcome(self) -> JsonObject:
        return {}

    def handle(self, *args: object, **options: object) -> None:
        with acting(command_actor()), bound_contextvars(command=self._name):
            try:
                self.run(**options)
            except DatabaseError:
                raise  # the audit trail is in the same database
            except BaseException as error:
                self._record(options, _exit_code(error))
                raise
            self._record(options, 0)

    def run(self, **options: object) -> None:
        raise NotImplementedError

    @property
    def _name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def _record(self, options: Mapping[str, object], code: int) -> None:
        if options.get("dry_run"):
            return
        given = {key: value for key, value in options.items() if key not in COMMON_OPTIONS and value}
        after = {"arguments": given, "exit_code": code, **self.outcome}
        try:
            record(Action.COMMAND, None, f"manage.py {self._name}", after=after)
        except DatabaseError as error:
            # For example before the first setup. The command's own message about it must not be hidden.
            log.warning("the audit trail could not be written: %s", error)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, CommandError):
        return error.returncode
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return 1
