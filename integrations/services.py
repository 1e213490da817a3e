"""The public module of this app: other apps import ``integrations.models``, this module, and nothing else of it."""

from integrations.auth.sealing import (
    UnsealError,
    reseal_bytes,
    rotate_keys,
    seal,
    seal_bytes,
    unseal,
    unseal_bytes,
)
from integrations.auth.signing import (
    SigningSecretError,
    check_signing_secret,
    is_guessable,
    new_signing_secret,
)
from integrations.errors import IntegrationError
from integrations.formats import SOURCES, FileSource, SourceError, detect, peekable
from integrations.formats.bounded_json import (
    MAX_BYTES as MAX_JSON_BYTES,
    MAX_DEPTH as MAX_JSON_DEPTH,
    MAX_VALUES as MAX_JSON_VALUES,
    TOO_DEEP,
    TOO_FULL,
    OutOfBounds as JsonOutOfBounds,
    loads as load_json,
)
from integrations.formats.reader import Read
from integrations.formatted_text import (
    FormattedText,
    ItemList,
    MessageText,
    Paragraph,
    TextSpan,
    as_part,
    blocks_of,
    shortened,
)
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.masking import mask, settings_secrets
from integrations.nested_values import put_value, value_at
from integrations.source_data import (
    Cursor,
    Fault,
    Permission,
    PermissionResult,
    ProbeResult,
    RateSeen,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources import API_SOURCES, SOURCE_KINDS
from integrations.sources.scim.documents import parse_names, selected
from integrations.sources.scim.errors import ScimError
from integrations.sources.scim.filters import parse_filter
from integrations.sources.scim.schemas import RESOURCE_TYPES, SCHEMAS, ResourceType
from integrations.sources.shared.api_source import ApiSource, ChangeLog, RateLimit, SyncPassKind
from integrations.sources.shared.connection_kind import ConnectionKind
from integrations.sources.shared.file_records import unpacked as unpacked_record
from integrations.sources.shared.file_source import columns_of as file_columns
from integrations.sources.shared.provider_call import ProviderCall
from integrations.sources.shared.rate import RateBudget
from integrations.store.limits import LIMITS
from integrations.store.push_tokens import (
    connection_of_token,
    is_push_kind,
    live_push_tokens,
    rotate_push_token,
)
from integrations.store.saving import SaveResult, save_integration
from integrations.store.scim_resources import (
    create_resource,
    delete_resource,
    find_resource,
    is_matched,
    list_resources,
    mark_imported,
    patch_resource,
    pending_resources,
    pending_sources,
    records_of,
    replace_resource,
    represent,
    version_tag,
)
from integrations.store.secrets import (
    LOST_SECRET,
    document_of,
    has_lost_secrets,
    has_sealed_urls,
    reveal_urls,
    seal_urls,
    target_of,
    target_without_secrets,
    with_lost_secrets,
)
from integrations.store.signing_secrets import (
    MAX_OVERLAP_HOURS,
    OVERLAP_HOURS,
    has_lost_signing_secret,
    live_signing_secrets,
    rotate_signing_secret,
)
from integrations.store.source_connections import (
    api_source,
    delete_connection,
    has_lost_source_secrets,
    probe_connection,
    save_connection,
    secret_expiry,
    set_connection_state,
    source_call,
    source_settings,
)
from integrations.store.states import delete_integration, disable, end_failing, pause, resume
from integrations.target_data import (
    DEFAULT_ACCENT,
    AttemptRequest,
    Document,
    Event,
    InvalidDocument,
    MessageFrame,
    RenderedBody,
    Target,
)
from integrations.targets import KINDS, is_secret_key, kind_of
from integrations.targets.shared.call import NO_TOKEN
from integrations.targets.shared.event_json import encode_event
from integrations.targets.shared.formatting import Reader, fact_lines
from integrations.targets.shared.mail.addresses import smtp_address, without_repeats
from integrations.targets.shared.mail.report_mail import MailParts, mail_parts
from integrations.targets.shared.preview import MessagePreview
from integrations.targets.shared.setting_fields import Field as SettingField, example_settings
from integrations.targets.shared.summary import truncate
from integrations.targets.shared.target_kind import TargetKind
from integrations.targets.webhook.bodies import preview_body
from integrations.targets.webhook.presets import PRESETS, Preset, preset_of
from integrations.templating.liquid import (
    MAX_SOURCE,
    TemplateDetails,
    TemplateError,
    parse_template,
    render_template,
    template_time_limit,
)
from integrations.templating.markdown import MarkdownText, inert, parse_markdown
from integrations.templating.template_process import (
    PROCESS_SECONDS,
    killable_templates,
    patient_templates,
    render_in_process,
)
from integrations.text_encoding import is_encodable
from integrations.translation import (
    ENGLISH,
    LANGUAGES,
    Translator,
    base_language,
    language_of,
    translator_for,
)
from integrations.transport.network_rules import host_entry, network_entry
from integrations.transport.results import AttemptOutcome, Result

__all__ = [
    "API_SOURCES",
    "DEFAULT_ACCENT",
    "ENGLISH",
    "KINDS",
    "LANGUAGES",
    "LIMITS",
    "LOST_SECRET",
    "MAX_JSON_BYTES",
    "MAX_JSON_DEPTH",
    "MAX_JSON_VALUES",
    "MAX_OVERLAP_HOURS",
    "MAX_SOURCE",
    "NO_TOKEN",
    "OVERLAP_HOURS",
    "PRESETS",
    "PROCESS_SECONDS",
    "RESOURCE_TYPES",
    "SCHEMAS",
    "SOURCES",
    "SOURCE_KINDS",
    "TOO_DEEP",
    "TOO_FULL",
    "ApiSource",
    "AttemptOutcome",
    "AttemptRequest",
    "ChangeLog",
    "ConnectionKind",
    "Cursor",
    "Document",
    "Event",
    "Fault",
    "FileSource",
    "FormattedText",
    "IntegrationError",
    "InvalidDocument",
    "ItemList",
    "Json",
    "JsonMapping",
    "JsonObject",
    "JsonOutOfBounds",
    "MailParts",
    "MarkdownText",
    "MessageFrame",
    "MessagePreview",
    "MessageText",
    "Paragraph",
    "Permission",
    "PermissionResult",
    "Preset",
    "ProbeResult",
    "ProviderCall",
    "RateBudget",
    "RateLimit",
    "RateSeen",
    "Read",
    "Reader",
    "RecordPage",
    "RenderedBody",
    "ResourceType",
    "Result",
    "SaveResult",
    "ScimError",
    "SettingField",
    "SigningSecretError",
    "SourceError",
    "SourceFault",
    "SourceSettings",
    "SyncPassKind",
    "Target",
    "TargetKind",
    "TemplateDetails",
    "TemplateError",
    "TextSpan",
    "Translator",
    "UnsealError",
    "api_source",
    "as_part",
    "base_language",
    "blocks_of",
    "check_signing_secret",
    "connection_of_token",
    "create_resource",
    "delete_connection",
    "delete_integration",
    "delete_resource",
    "detect",
    "disable",
    "document_of",
    "encode_event",
    "end_failing",
    "example_settings",
    "fact_lines",
    "file_columns",
    "find_resource",
    "has_lost_secrets",
    "has_lost_signing_secret",
    "has_lost_source_secrets",
    "has_sealed_urls",
    "host_entry",
    "inert",
    "is_encodable",
    "is_guessable",
    "is_matched",
    "is_push_kind",
    "is_secret_key",
    "killable_templates",
    "kind_of",
    "language_of",
    "list_resources",
    "live_push_tokens",
    "live_signing_secrets",
    "load_json",
    "mail_parts",
    "mark_imported",
    "mask",
    "network_entry",
    "new_signing_secret",
    "parse_filter",
    "parse_markdown",
    "parse_names",
    "parse_template",
    "patch_resource",
    "patient_templates",
    "pause",
    "peekable",
    "pending_resources",
    "pending_sources",
    "preset_of",
    "preview_body",
    "probe_connection",
    "put_value",
    "records_of",
    "render_in_process",
    "render_template",
    "replace_resource",
    "represent",
    "reseal_bytes",
    "resume",
    "reveal_urls",
    "rotate_keys",
    "rotate_push_token",
    "rotate_signing_secret",
    "save_connection",
    "save_integration",
    "seal",
    "seal_bytes",
    "seal_urls",
    "secret_expiry",
    "selected",
    "set_connection_state",
    "settings_secrets",
    "shortened",
    "smtp_address",
    "source_call",
    "source_settings",
    "target_of",
    "target_without_secrets",
    "template_time_limit",
    "translator_for",
    "truncate",
    "unpacked_record",
    "unseal",
    "unseal_bytes",
    "value_at",
    "version_tag",
    "with_lost_secrets",
    "without_repeats",
]
