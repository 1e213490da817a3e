"""The public module of ``notifications``: other apps import this and ``notifications.models``, and nothing else of the app."""

from notifications.delivery.dispatcher import dispatch
from notifications.delivery.pruning import remove_expired_sessions, remove_old
from notifications.delivery.task_requests import request_dispatch, request_task, request_workers
from notifications.errors import NotificationsError
from notifications.history import findings_of, last_deliveries
from notifications.installation import (
    install_schedules,
    report_addresses,
    update_configuration,
    update_schedule,
)
from notifications.manual_sends import event_target, send_current, send_test_message, test_connectivity
from notifications.message_editor import (
    PreviewedMessage,
    current_text,
    default_message,
    preview_message,
    reset_message,
    save_message,
)
from notifications.message_preview import DeliveryPreview, preview_delivery
from notifications.message_settings import (
    change_message_settings,
    message_settings_of,
    shared_message_settings,
)
from notifications.planning.filters import FILTER_KEYS, apply_filter, describe_filter
from notifications.planning.finding_ranges import FindingRanges
from notifications.planning.forecast import forecast, forecast_hold
from notifications.planning.holds import (
    HoldDecided,
    drop_hold,
    held_messages,
    hold_document,
    hold_location,
    hold_reason,
    release_hold,
)
from notifications.planning.loading import console_address
from notifications.planning.run_estimate import EstimatedTarget, RunEstimate, estimate_run
from notifications.planning.schedule import daily_times, latest_report_time
from notifications.planning.subscriptions import (
    SUBSCRIPTION_OPTIONS,
    change_subscription,
    subscribe,
    unsubscribe,
)
from notifications.rendering.schema import (
    FILES as SCHEMA_FILES,
    all as all_schemas,
    load as load_schema,
    validator as schema_validator,
)
from notifications.rendering.templates import (
    VARIABLES as MESSAGE_VARIABLES,
    MessageError,
    Variable as MessageVariable,
)
from notifications.replay import ReplayRefused, is_replayable, replay, replay_matching, replayable_together
from notifications.run_pipeline import run_and_notify
from notifications.send_now import SendRefused, Unsent, send_now, send_unsent, unsent

__all__ = [
    "FILTER_KEYS",
    "MESSAGE_VARIABLES",
    "SCHEMA_FILES",
    "SUBSCRIPTION_OPTIONS",
    "DeliveryPreview",
    "EstimatedTarget",
    "FindingRanges",
    "HoldDecided",
    "MessageError",
    "MessageVariable",
    "NotificationsError",
    "PreviewedMessage",
    "ReplayRefused",
    "RunEstimate",
    "SendRefused",
    "Unsent",
    "all_schemas",
    "apply_filter",
    "change_message_settings",
    "change_subscription",
    "console_address",
    "current_text",
    "daily_times",
    "default_message",
    "describe_filter",
    "dispatch",
    "drop_hold",
    "estimate_run",
    "event_target",
    "findings_of",
    "forecast",
    "forecast_hold",
    "held_messages",
    "hold_document",
    "hold_location",
    "hold_reason",
    "install_schedules",
    "is_replayable",
    "last_deliveries",
    "latest_report_time",
    "load_schema",
    "message_settings_of",
    "preview_delivery",
    "preview_message",
    "release_hold",
    "remove_expired_sessions",
    "remove_old",
    "replay",
    "replay_matching",
    "replayable_together",
    "report_addresses",
    "request_dispatch",
    "request_task",
    "request_workers",
    "reset_message",
    "run_and_notify",
    "save_message",
    "schema_validator",
    "send_current",
    "send_now",
    "send_test_message",
    "send_unsent",
    "shared_message_settings",
    "subscribe",
    "test_connectivity",
    "unsent",
    "unsubscribe",
    "update_configuration",
    "update_schedule",
]
