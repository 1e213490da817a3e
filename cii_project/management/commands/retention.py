"""manage.py retention: delete what is older than the installation keeps; also a daily schedule."""

from checks.services import remove_old_rejected_rows, remove_old_uploads
from cii_project.management.audited import AuditedCommand
from notifications import services
from notifications.models import Configuration


class Command(AuditedCommand):
    help = "Delete attempts and payloads older than the installation keeps (settings: 30 and 14 days), and expired sessions."

    def run(self, **options: object) -> None:
        kept = Configuration.load()
        attempts, bodies = services.remove_old()
        sessions = services.remove_expired_sessions()
        uploads, rows = remove_old_uploads(), remove_old_rejected_rows()
        self.outcome.update(
            attempts=attempts, payloads=bodies, sessions=sessions, uploads=uploads, rejected_rows=rows
        )
        self.stdout.write(
            f"Attempts are kept {kept.attempt_retention_days} days, payloads {kept.payload_retention_days} days: "
            f"{attempts} attempts, {bodies} payloads and {sessions} expired sessions removed. "
            f"{uploads} uploaded files older than a day and {rows} rejected rows older than 30 days removed."
        )
