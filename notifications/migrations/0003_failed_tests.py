from django.db import migrations, models


def mark_failed_tests(apps, schema_editor):
    """Tests that failed were dead letters, which are counted and replayed."""
    delivery = apps.get_model("notifications", "Delivery")
    tests = delivery.objects.filter(state="dead", event__origin__in=("test", "connectivity"))
    delivery.objects.filter(id__in=tests.values("id")).update(state="test_failed")


class Migration(migrations.Migration):
    dependencies = [("notifications", "0002_message_settings")]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="state",
            field=models.CharField(
                choices=[
                    ("held", "Held"),
                    ("due", "Waiting"),
                    ("sending", "Being sent"),
                    ("delivered", "Delivered"),
                    ("dead", "Dead letter"),
                    ("skipped", "Skipped"),
                    ("test_failed", "Test failed"),
                ],
                default="due",
                max_length=16,
            ),
        ),
        migrations.RunPython(mark_failed_tests, migrations.RunPython.noop),
    ]
