"""manage.py setup: bring a database up to date; safe to run at every start."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.models import Q

from checks import services as check_services
from checks.models import Check
from cii_project.console.roles import GROUPS, Role
from notifications import schedule
from notifications.models import Configuration

APPS = ("checks", "integrations", "notifications")


def permissions_of(role: Role) -> Q:
    """What a role may do in the operators' admin; the pages ask for the role itself."""
    ours = Q(content_type__app_label__in=APPS)
    view = ours & Q(codename__startswith="view_")
    if role >= Role.ENGINEER:
        return ours
    if role >= Role.OPERATOR:
        return view | Q(content_type__app_label="checks", content_type__model="exclusion")
    return view


def make_groups() -> None:
    for name, role in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set(Permission.objects.filter(permissions_of(role)))


def make_room() -> None:
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


class Command(BaseCommand):
    help = (
        "Bring the database up to date: migrations, the catalogue of checks, groups, schedules and the "
        "installation's settings. Run it again at any time; a second run changes nothing. "
        "It refuses to start where a key is missing (SECRET_KEY, FIELD_KEYS) and says how to make one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        make_room()
        # Straight to the stream: a wrapper round a wrapper would break migrate's lines.
        call_command("migrate", interactive=False, verbosity=options["verbosity"], stdout=self.stdout._out)
        with transaction.atomic():
            configuration = Configuration.load()
            check_services.sync_catalogue()
            make_groups()
            schedule.install_schedules()
        self.stdout.write(
            f"The database is up to date: {Check.objects.count()} checks, {len(GROUPS)} groups; "
            f"the checks run daily at {configuration.run_time:%H:%M} {configuration.run_zone}."
        )
