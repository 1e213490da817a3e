from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "cii_project"
    label = "console"
    verbose_name = "Identity checks"

    def ready(self) -> None:
        from cii_project import (
            system_checks,  # noqa: F401  registers the start-up checks
            task_queue,
        )

        task_queue.install()
