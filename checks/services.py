"""What the rest of the project asks of the checks, in one place; each lives in a module by subject."""

from checks.check_settings import (
    clean_settings,
    exclude_user,
    remove_exclusion,
    sync_catalogue,
    update_check,
    would_fail,
)
from checks.rules import effective_settings
from checks.runs import (
    Preview,
    RunLost,
    RunRefused,
    UnknownChecks,
    preview_run,
    reap_dead_runs,
    request_run,
    run_checks,
)

__all__ = [
    "Preview",
    "RunLost",
    "RunRefused",
    "UnknownChecks",
    "clean_settings",
    "effective_settings",
    "exclude_user",
    "preview_run",
    "reap_dead_runs",
    "remove_exclusion",
    "request_run",
    "run_checks",
    "sync_catalogue",
    "update_check",
    "would_fail",
]
