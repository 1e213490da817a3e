"""manage.py rotate_keys: seal every secret and every waiting upload again with the first of FIELD_KEYS."""

from django.core.management.base import CommandError

from cii_project.imports.uploads import reseal_uploads
from cii_project.management.audited import AuditedCommand
from integrations.services import UnsealError, rotate_keys


class Command(AuditedCommand):
    help = (
        "Seal every stored secret and uploaded file again with the first key of FIELD_KEYS. To change keys: put the new key first "
        "and keep the old one behind it, restart, run this, then drop the old one."
    )

    def run(self, **options: object) -> None:
        parts, lost = reseal_uploads()
        if parts:
            self.stdout.write(f"{parts} parts of uploaded files are sealed with the first of FIELD_KEYS.")
        if lost:
            self.stdout.write(f"{lost} parts of uploaded files open with no key: upload these files again.")
        self.outcome["upload_parts"] = parts
        try:
            count = rotate_keys()
        except UnsealError as error:
            raise CommandError(str(error)) from error
        self.outcome["secrets"] = count
        self.stdout.write(f"{count} secrets are sealed with the first of FIELD_KEYS.")
