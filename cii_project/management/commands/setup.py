"""manage.py setup: bring a database up to date; safe to run at every start."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction
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


class Command(BaseCommand):
    help = (
        "Bring the database up to date: migrations, the catalogue of checks, groups, schedules and the "
        "installation's settings. Run it again at any time; a second run changes nothing. "
        "It refuses to start where a key is missing (SECRET_KEY, FIELD_KEYS) and says how to make one."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        # SQLite makes its file, not the folder; what is in it is the owner's alone.
        settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
        call_command("migrate", interactive=False, verbosity=options["verbosity"], stdout=self.stdout)
        with transaction.atomic():
            Configuration.load()
            check_services.sync_catalogue()
            make_groups()
            schedule.install_schedules()
        self.stdout.write(
            f"The database is up to date: {Check.objects.count()} checks, {len(GROUPS)} groups."
        )
