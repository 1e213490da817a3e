"""The public module of ``checks``: other apps import this and ``checks.models``, and nothing else of the app."""

from checks.catalogue import CATALOGUE, catalogue_check, catalogue_position
from checks.catalogue.audience_texts import AudienceText
from checks.catalogue.definition import CatalogueCheck, Settings
from checks.check_settings import (
    clean_settings,
    clean_tags,
    copy_exclusions,
    exclude_user,
    exclude_users,
    remove_exclusion,
    remove_exclusions,
    sync_catalogue,
    update_check,
    would_fail,
)
from checks.dialect import among
from checks.engine.clock import move_future_runs, moved_start
from checks.engine.estimates import NewUsers, count_new_users
from checks.engine.explanations import (
    LoginDetail,
    audience_texts,
    check_description,
    iso,
    login_details,
    recommended_actions,
    user_details,
)
from checks.engine.group_results import store_group_results
from checks.engine.model_rows import findings_in_chunks, findings_with_users
from checks.engine.rules import checks_reading, effective_settings, newly_failing_users
from checks.engine.runs import (
    Preview,
    RunLost,
    RunRefused,
    UnknownChecks,
    cancel_run,
    preview_run,
    reap_dead_runs,
    request_run,
    run_checks,
)
from checks.engine.single_user import UserOutcome, evaluate_user
from checks.engine.unknown_causes import UnknownCause, cause_texts, causes_text, reported_causes
from checks.folding import folded
from checks.freshness import outdated_groups
from checks.importing.accounts import (
    AllRecordsBad,
    ApiReading,
    ImportPreview,
    ImportRefused,
    Rejected,
    StrictRefused,
    SuggestionDecided,
    TooManyDeleted,
    accept_suggestion,
    import_accounts,
    link_account,
    preview_import,
    record_problems,
    reject_suggestion,
    unlink_account,
)
from checks.importing.lost_fields import LostField, reported_lost_fields
from checks.importing.mappings import (
    DATE_ORDERS,
    MEANINGS,
    MappingError,
    extended_mapping,
    rules_from,
    rules_of,
)
from checks.importing.moments import is_moment
from checks.importing.records import FIELDS as RECORD_FIELDS, source_key_of
from checks.importing.rejected_rows import (
    KEPT_DAYS as REJECTED_ROWS_KEPT_DAYS,
    MOST_ROWS as MOST_REJECTED_ROWS,
    remove_old_rejected_rows,
)
from checks.importing.reports import ReadingWarning, WordCount, reported_warnings, reported_words
from checks.importing.rereading import Reread, reread_accounts
from checks.importing.rules import ReadingRules
from checks.importing.sign_ins import SignIns
from checks.importing.sources import (
    NOT_READ,
    add_source,
    delete_source,
    forget_mapping,
    rename_source,
    save_mapping,
)
from checks.importing.spellings import ACTIVE_FACTOR, ASSURANCE
from checks.importing.times import AMBIGUOUS as AMBIGUOUS_DATE
from checks.importing.uploads import remove_old_uploads
from checks.importing.values import NO, YES, shorten, yes_or_no
from checks.importing.workers import (
    StoredWorker,
    StoredWorkers,
    employee_key_of,
    stored_workers,
    worker_login_of,
)
from checks.user_search import (
    SearchResult,
    accounts_starting_with,
    search_accounts,
    search_users,
    users_named,
    without_index,
)

__all__ = [
    "ACTIVE_FACTOR",
    "AMBIGUOUS_DATE",
    "ASSURANCE",
    "CATALOGUE",
    "DATE_ORDERS",
    "MEANINGS",
    "MOST_REJECTED_ROWS",
    "NO",
    "NOT_READ",
    "RECORD_FIELDS",
    "REJECTED_ROWS_KEPT_DAYS",
    "YES",
    "AllRecordsBad",
    "ApiReading",
    "AudienceText",
    "CatalogueCheck",
    "ImportPreview",
    "ImportRefused",
    "LoginDetail",
    "LostField",
    "MappingError",
    "NewUsers",
    "Preview",
    "ReadingRules",
    "ReadingWarning",
    "Rejected",
    "Reread",
    "RunLost",
    "RunRefused",
    "SearchResult",
    "Settings",
    "SignIns",
    "StoredWorker",
    "StoredWorkers",
    "StrictRefused",
    "SuggestionDecided",
    "TooManyDeleted",
    "UnknownCause",
    "UnknownChecks",
    "UserOutcome",
    "WordCount",
    "accept_suggestion",
    "accounts_starting_with",
    "add_source",
    "among",
    "audience_texts",
    "cancel_run",
    "catalogue_check",
    "catalogue_position",
    "cause_texts",
    "causes_text",
    "check_description",
    "checks_reading",
    "clean_settings",
    "clean_tags",
    "copy_exclusions",
    "count_new_users",
    "delete_source",
    "effective_settings",
    "employee_key_of",
    "evaluate_user",
    "exclude_user",
    "exclude_users",
    "extended_mapping",
    "findings_in_chunks",
    "findings_with_users",
    "folded",
    "forget_mapping",
    "import_accounts",
    "is_moment",
    "iso",
    "link_account",
    "login_details",
    "move_future_runs",
    "moved_start",
    "newly_failing_users",
    "outdated_groups",
    "preview_import",
    "preview_run",
    "reap_dead_runs",
    "recommended_actions",
    "record_problems",
    "reject_suggestion",
    "remove_exclusion",
    "remove_exclusions",
    "remove_old_rejected_rows",
    "remove_old_uploads",
    "rename_source",
    "reported_causes",
    "reported_lost_fields",
    "reported_warnings",
    "reported_words",
    "request_run",
    "reread_accounts",
    "rules_from",
    "rules_of",
    "run_checks",
    "save_mapping",
    "search_accounts",
    "search_users",
    "shorten",
    "source_key_of",
    "store_group_results",
    "stored_workers",
    "sync_catalogue",
    "unlink_account",
    "update_check",
    "user_details",
    "users_named",
    "without_index",
    "worker_login_of",
    "would_fail",
    "yes_or_no",
]
