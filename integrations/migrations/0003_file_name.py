from django.db import migrations


def _rename(apps, before, after):
    integration = apps.get_model("integrations", "Integration")
    for target in integration.objects.filter(kind="file"):
        if before in target.settings:
            target.settings[after] = target.settings.pop(before)
            target.save(update_fields=["settings"])


def name_to_file_name(apps, schema_editor):
    """A configuration file could not set it: there ``name`` is the target's own."""
    _rename(apps, "name", "file_name")


def file_name_to_name(apps, schema_editor):
    _rename(apps, "file_name", "name")


class Migration(migrations.Migration):
    dependencies = [("integrations", "0002_sources_with_an_api")]

    operations = [migrations.RunPython(name_to_file_name, file_name_to_name)]
