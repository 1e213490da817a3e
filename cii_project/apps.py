import gc

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class ConsoleAdminConfig(AdminConfig):
    default_site = "cii_project.console.sign_in.admin_site.ConsoleAdminSite"


class ProjectConfig(AppConfig):
    default = True
    name = "cii_project"
    label = "console"
    verbose_name = "Identity checks"

    def ready(self) -> None:
        from cii_project import (
            system_checks,  # noqa: F401  registers the start-up checks
            task_queue,
        )

        task_queue.install()
        # What is loaded by now lives as long as the process, so the collector need not walk it again. Its walks would
        # take a fifth of an import's CPU.
        gc.freeze()
        gc.set_threshold(10_000)
