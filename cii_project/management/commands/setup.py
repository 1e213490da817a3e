"""manage.py setup: bring a database up to date; safe to run at every start."""

from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from checks import services as check_services
from checks.models import Check
from cii_project.console.core.roles import ROLE_BY_GROUP
from cii_project.management.audited import AuditedCommand
from integrations.services import seal_urls
from notifications import services as notification_services
from notifications.models import Configuration


def create_groups() -> None:
    """A group a role. What a role may do is decided by :class:`~cii_project.console.sign_in.role_backend.RoleBackend`."""
    for name in ROLE_BY_GROUP:
        Group.objects.get_or_create(name=name)


def create_data_folder() -> None:
    """The data folder and SQLite's file, the owner's alone: it holds people's data. SQLite makes no folder."""
    try:
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = str(connection.settings_dict["NAME"])
        if connection.vendor == "sqlite" and "memory" not in database:
            Path(database).touch(mode=0o600)
    except OSError as error:
        raise CommandError(
            f"{error.filename} cannot be made ({error.strerror}); set DATA_DIR or DATABASE_URL (docs/settings.md)"
        ) from error


class Command(AuditedCommand):
    help = (
        "Bring the database up to date: migrations, the catalogue of checks, groups, schedules and the "
        "installation's settings. Run it again at any time; a second run changes nothing. "
        "It refuses to start where a key is missing (SECRET_KEY, FIELD_KEYS) and says how to make one."
    )

    def run(self, **options: object) -> None:
        create_data_folder()
        # Straight to the stream: a wrapper round a wrapper would break migrate's lines.
        call_command("migrate", interactive=False, verbosity=options["verbosity"], stdout=self.stdout._out)
        with transaction.atomic():
            configuration = Configuration.load()
            check_services.sync_catalogue()
            create_groups()
            notification_services.install_schedules()
            seal_urls()
        self.stdout.write(
            f"The database is up to date: {Check.objects.count()} checks, {len(ROLE_BY_GROUP)} groups; "
            f"the checks run daily at {configuration.run_time:%H:%M} {configuration.run_zone}."
        )
