from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ChecksConfig(AppConfig):
    name = "checks"
    verbose_name = "Checks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from checks.word_search import keep_sqlite_index

        post_migrate.connect(keep_sqlite_index, sender=self)
