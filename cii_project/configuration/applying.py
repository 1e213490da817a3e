"""From plain values to the database: one transaction, every error at once, nothing changed on any.

What the file does not name stays. Each part calls the service that owns it, so a file and a page
obey the same rules.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from django.core.exceptions import ValidationError
from django.db import transaction

from checks import services as check_services
from checks.models import Check, Source
from cii_project.configuration.reading import (
    Problems,
    item_label,
    join_path,
    refuse_references,
    resolve,
    suggest,
)
from cii_project.imports.connected_files import check_reading_settings
from integrations import services as integration_services
from integrations.models import Integration, SourceConnection
from integrations.services import (
    KINDS,
    SOURCE_KINDS,
    InvalidDocument,
    Json,
    JsonMapping,
    JsonObject,
    is_push_kind,
    is_secret_key,
)
from notifications import services as notification_services
from notifications.models import Audience, Configuration, MessageTemplate, Subscription
from notifications.services import SUBSCRIPTION_OPTIONS, MessageError

SECTIONS = ("installation", "schedule", "integrations", "sources", "checks")
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
INSTALLATION = (
    "base_url",
    "account",
    "region",
    "tenant_name",
    "max_users_per_event",
    "max_people_per_run",
    "max_people_percent",
    "language",
    "instructions_url",
    "contact",
    "due_days",
    "signature",
    "logo_url",
    "accent_colour",
)
SCHEDULE = {
    "time": "run_time",
    "zone": "run_zone",
    "weekly_on": "weekly_on",
    "quiet_from": "quiet_from",
    "quiet_until": "quiet_until",
    "report_every": "report_every",
    "report_recipients": "report_recipients",
}
# Keys that every kind has; the other keys of an integration are its kind's own document.
COMMON_KEYS = ("name", "kind", "description", "owner_email", "limits", "state")
# Keys that every connected source has; the other keys are its kind's own document.
SOURCE_KEYS = ("name", "slug", "kind", "system", "period_hours", "rate_share", "secret_expires_on", "state")
SOURCE_STATES = ("active", "paused")
INTEGRATION_STATES = ("active", "paused", "disabled")
CHECK_FIELDS = (
    "enabled",
    "severity",
    "tags",
    "settings",
    "ignored_domains",
    "included_domains",
    "ignored_logins",
)
CHECK_KEYS = (*CHECK_FIELDS, "targets", "messages", "message_settings")


@dataclass(slots=True)
class ApplyReport:
    """``changes``: a sentence each. ``secrets``: integration → the signing secret, or source → the push token,
    that was made for it."""

    changes: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class _Target:
    """One item of a check's ``targets``; ``path`` is its place in the file."""

    integration: Integration
    audience: str
    options: JsonObject
    path: str


class _DryRun(Exception):
    """Ends the transaction of a dry run."""


def apply_config(
    document: JsonMapping,
    environment: Mapping[str, str],
    *,
    dry_run: bool = False,
    keep_secrets: Callable[[Mapping[str, str]], None] | None = None,
) -> ApplyReport:
    """Bring the database to what ``document`` says. Raises ``ConfigurationErrors``; then nothing changed.

    ``keep_secrets`` is called with the signing secrets that were made, if any, before anything is committed: where
    it raises nothing changes.
    """
    problems = Problems()
    report = ApplyReport()
    work = _Applying(problems, report, environment)
    try:
        with transaction.atomic():
            work.apply(dict(document))
            problems.raise_if_any()
            if dry_run:
                raise _DryRun
            if keep_secrets and report.secrets:
                keep_secrets(report.secrets)
    except _DryRun:
        report.secrets.clear()
    return report


class _Applying:
    def __init__(self, problems: Problems, report: ApplyReport, environment: Mapping[str, str]) -> None:
        self.problems = problems
        self.report = report
        self.environment = environment
        self.integrations: dict[str, Integration] = {}
        # Integrations of this file that could not be saved: their names are no further error.
        self.broken: set[str] = set()

    def apply(self, document: JsonObject) -> None:
        self._known_keys(document, "", SECTIONS)
        for section in ("installation", "schedule"):
            refuse_references(document.get(section), section, self.problems)
        self._installation(self._mapping(document, "installation"), self._mapping(document, "schedule"))
        self._integrations(document.get("integrations"))
        self._sources(document.get("sources"))
        self._checks(self._mapping(document, "checks"))

    # --- Reading with errors ---

    def _mapping(self, holder: JsonMapping, key: str, path: str = "") -> JsonObject:
        value = holder.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problems.add(join_path(path, key), "Write keys and values below this one.")
            return {}
        return value

    def _known_keys(self, holder: JsonMapping, path: str, known: tuple[str, ...]) -> None:
        for key in holder:
            if key not in known:
                self.problems.add(join_path(path, key), f"This key is unknown. {suggest(key, known)}")

    @contextmanager
    def _errors_at(self, path: str) -> Iterator[None]:
        """Turn what a service refuses into problems below ``path``; what it wrote until then is undone."""
        try:
            with transaction.atomic():
                yield
        except InvalidDocument as error:
            for key, text in error.errors.items():
                self.problems.add(join_path(path, key), text)
        except MessageError as error:
            self.problems.add(path, str(error))
        except ValidationError as error:
            if not hasattr(error, "error_dict"):
                self.problems.add(path, " ".join(error.messages))
                return
            for key, messages in error.message_dict.items():
                self.problems.add(join_path(path, key), " ".join(messages))

    # --- Sections ---

    def _installation(self, installation: JsonObject, schedule: JsonObject) -> None:
        self._known_keys(installation, "installation", INSTALLATION)
        self._known_keys(schedule, "schedule", tuple(SCHEDULE))
        named = {
            key: (f"installation.{key}", value) for key, value in installation.items() if key in INSTALLATION
        }
        named |= {
            SCHEDULE[key]: (f"schedule.{key}", value) for key, value in schedule.items() if key in SCHEDULE
        }
        Configuration.load()
        row = Configuration.objects.get()  # as the database types it, also where it was just made
        changed: JsonObject = {}
        for name, (path, value) in named.items():
            model_field = Configuration._meta.get_field(name)
            try:
                empty = None if model_field.null else ""
                cleaned = model_field.clean(empty if value is None else value, row)  # type: ignore[union-attr]
            except ValidationError as error:
                self.problems.add(path, " ".join(error.messages))
                continue
            if cleaned != getattr(row, name):
                changed[name] = cleaned
                self.report.changes.append(f"{path}: {value}")
        hours = {name: changed.get(name, getattr(row, name)) for name in ("quiet_from", "quiet_until")}
        if (hours["quiet_from"] is None) != (hours["quiet_until"] is None):
            self.problems.add("schedule", "Give both quiet_from and quiet_until, or null for both.")
        report = {
            name: changed.get(name, getattr(row, name)) for name in ("report_every", "report_recipients")
        }
        if report["report_every"] and not report["report_recipients"]:
            self.problems.add(
                "schedule.report_recipients", "Write at least one address, or set report_every to null."
            )
        if changed.keys() & set(SCHEDULE.values()):
            at, zone = changed.pop("run_time", row.run_time), changed.pop("run_zone", row.run_zone)
            notification_services.update_schedule(at, zone)
        if changed:
            notification_services.update_configuration(changed)

    def _integrations(self, items: object) -> None:
        if items is None:
            return
        if not isinstance(items, list):
            self.problems.add("integrations", "Write a list: each integration starts with “- name: …”.")
            return
        seen: set[str] = set()
        for place, item in enumerate(items):
            path = f"integrations[{item_label(item, place)}]"
            name = item.get("name") if isinstance(item, dict) else None
            if not isinstance(name, str) or not name.strip():
                self.problems.add(
                    join_path(path, "name"), "Give the integration a name of 1 to 64 characters."
                )
                continue
            if name.casefold() in seen:
                self.problems.add(path, "This name occurs twice; upper and lower case count as equal.")
                continue
            seen.add(name.casefold())
            self._integration(item, name, path)

    def _integration(self, item: JsonObject, name: str, path: str) -> None:
        before = len(self.problems.found)
        stored = Integration.objects.filter(name__iexact=name).first()
        kind = item.get("kind", stored.kind if stored else None)
        if kind not in KINDS:
            text = "Say what kind of target this is." if kind is None else f"There is no kind {kind}."
            self.problems.add(join_path(path, "kind"), f"{text} {suggest(kind or '', KINDS)}")
        elif stored and kind != stored.kind:
            text = f"{stored.name} is of kind {stored.kind}, and a kind cannot change. Choose another name."
            self.problems.add(join_path(path, "kind"), text)
        limits = self._mapping(item, "limits", path)
        state = item.get("state")
        if state is not None and state not in INTEGRATION_STATES:
            self.problems.add(join_path(path, "state"), f"Write one of {', '.join(INTEGRATION_STATES)}.")
        if len(self.problems.found) == before:
            item = resolve(item, path, partial(is_secret_key, str(kind)), self.environment, self.problems)
            with self._errors_at(path):
                self._save(item, name, str(kind), limits, stored)
        if self.problems.below(path):
            self.broken.add(name.casefold())

    def _save(
        self, item: JsonObject, name: str, kind: str, limits: JsonObject, stored: Integration | None
    ) -> None:
        named = {key: value for key, value in item.items() if key not in COMMON_KEYS}
        # A top-level key that the file names replaces the stored one whole; the others stay.
        kept = integration_services.document_of(stored) if stored else {}
        saved = integration_services.save_integration(
            name=stored.name if stored else name,
            kind=kind,
            document={**kept, **named},
            description=item.get("description", stored.description if stored else "") or "",
            owner_email=item.get("owner_email", stored.owner_email if stored else "") or "",
            limits=limits or None,
            integration=stored,
        )
        self.integrations[name.casefold()] = saved.integration
        if stored is None:
            self.report.changes.append(f"integration {name}: created")
        elif saved.changed:
            self.report.changes.append(f"integration {name}: changed")
        if saved.signing_secret:
            self.report.secrets[name] = saved.signing_secret
        self._state(saved.integration, item.get("state"))

    def _state(self, integration: Integration, state: str | None) -> None:
        if state is None or state == integration.state:
            return
        reason = "set so in the configuration file"
        if state == "active":
            integration_services.resume(integration)
        elif state == "paused":
            integration_services.pause(integration, reason=reason)
        else:
            integration_services.disable(integration, reason=reason)
        self.report.changes.append(f"integration {integration.name}: {state}")

    def _sources(self, items: object) -> None:
        if items is None:
            return
        if not isinstance(items, list):
            self.problems.add("sources", "Write a list: each source starts with “- slug: …”.")
            return
        seen: set[str] = set()
        for place, item in enumerate(items):
            slug = item.get("slug") if isinstance(item, dict) else None
            path = f"sources[{slug if isinstance(slug, str) and slug else place}]"
            if not isinstance(slug, str) or not SLUG.fullmatch(slug):
                text = "Give the source a short name of lower case letters, digits and hyphens, such as okta."
                self.problems.add(join_path(path, "slug"), text)
            elif slug in seen:
                self.problems.add(path, "This short name occurs twice.")
            else:
                seen.add(slug)
                self._connected_source(item, slug, path)

    def _connected_source(self, item: JsonObject, slug: str, path: str) -> None:
        before = len(self.problems.found)
        stored = SourceConnection.objects.filter(source_slug=slug).first()
        source = Source.objects.filter(slug=slug, deleted_at__isnull=True).first()
        kind = item.get("kind", stored.kind if stored else None)
        if kind not in SOURCE_KINDS:
            text = "Say what kind of source this is." if kind is None else f"There is no kind {kind}."
            self.problems.add(join_path(path, "kind"), f"{text} {suggest(kind or '', SOURCE_KINDS)}")
        if source and not stored:
            self.problems.add(path, f"{slug} is a source of files. Choose another short name.")
        state = item.get("state")
        if state is not None and state not in SOURCE_STATES:
            self.problems.add(join_path(path, "state"), f"Write one of {', '.join(SOURCE_STATES)}.")
        expires = self._date(item.get("secret_expires_on"), join_path(path, "secret_expires_on"))
        if len(self.problems.found) > before:
            return
        item = resolve(item, path, SOURCE_KINDS[str(kind)].is_secret, self.environment, self.problems)
        if self.problems.below(path):
            return
        with self._errors_at(path):
            self._save_source(item, slug, str(kind), expires, stored)

    def _date(self, value: Json, path: str) -> date | None:
        try:
            return date.fromisoformat(value) if value is not None else None
        except (TypeError, ValueError):
            self.problems.add(path, "Write a date such as 2027-01-31.")
            return None

    def _save_source(
        self,
        item: JsonObject,
        slug: str,
        kind: str,
        expires: date | None,
        stored: SourceConnection | None,
    ) -> None:
        named = {key: value for key, value in item.items() if key not in SOURCE_KEYS}
        token = named.pop("token", None) if is_push_kind(kind) else None
        if stored is None:
            check_services.add_source(
                slug=slug,
                name=item.get("name") or slug,
                kind=SOURCE_KINDS[kind].system or item.get("system") or "identity",
                provider=SOURCE_KINDS[kind].provider,
            )
        connection, changed = integration_services.save_connection(
            slug=slug,
            kind=kind,
            # A top-level key that the file names replaces the stored one whole; the others stay.
            document={**(stored.settings if stored else {}), **named},
            period_hours=item.get("period_hours", stored.period_hours if stored else 24),
            rate_share=item.get("rate_share", stored.rate_share if stored else 50),
            secret_expires_on=expires
            if "secret_expires_on" in item or not stored
            else stored.secret_expires_on,
            connection=stored,
        )
        check_reading_settings(connection)
        if is_push_kind(kind):
            changed = self._push_token(connection, token) or changed
        if changed:
            self.report.changes.append(f"source {slug}: {'changed' if stored else 'created'}")
        state = item.get("state")
        if state is not None and state != connection.state:
            reason = "set so in the configuration file" if state == "paused" else ""
            integration_services.set_connection_state(connection, SourceConnection.State(state), reason)
            self.report.changes.append(f"source {slug}: {state}")

    def _push_token(self, connection: SourceConnection, given: object) -> bool:
        """Take the token of the file, or make one where the source has none; whether its tokens changed."""
        if given is not None and not isinstance(given, str):
            raise InvalidDocument({"token": "Write text."})
        before = {each.digest for each in integration_services.live_push_tokens(connection)}
        if given is None and before:
            return False
        text = integration_services.rotate_push_token(connection, given=given)
        if given is None:
            self.report.secrets[connection.source_slug] = text
        return before != {each.digest for each in integration_services.live_push_tokens(connection)}

    def _checks(self, items: JsonObject) -> None:
        rows = {check.slug: check for check in Check.objects.all()}
        for slug, item in items.items():
            path = f"checks.{slug}"
            if slug not in rows:
                self.problems.add(path, f"There is no check {slug}. {suggest(slug, rows)}")
            elif item is not None and not isinstance(item, dict):
                self.problems.add(path, "Write keys and values below this one.")
            else:
                self._check(rows[slug], item or {}, path)

    def _check(self, check: Check, item: JsonObject, path: str) -> None:
        self._known_keys(item, path, CHECK_KEYS)
        values = {key: item[key] for key in CHECK_FIELDS if key in item}
        if "settings" in values:
            values["settings"] = self._mapping(item, "settings", path)
        if values:
            with self._errors_at(path):
                if check_services.update_check(check, **values):
                    self.report.changes.append(f"check {check.slug}: {', '.join(sorted(values))}")
        own = self._mapping(item, "message_settings", path)
        with self._errors_at(join_path(path, "message_settings")):
            if own and notification_services.change_message_settings(check, own):
                self.report.changes.append(f"check {check.slug}: message settings {', '.join(sorted(own))}")
        if "targets" in item:
            self._targets(check, item["targets"], join_path(path, "targets"))
        self._messages(check, self._mapping(item, "messages", path), join_path(path, "messages"))

    def _targets(self, check: Check, items: object, path: str) -> None:
        if not isinstance(items, list):
            self.problems.add(path, "Write a list of integrations' names; [] for none.")
            return
        before = len(self.problems.found)
        wanted: dict[tuple[int, str], _Target] = {}
        for place, item in enumerate(items):
            target = self._target(item, f"{path}[{place}]")
            if target:
                wanted[(target.integration.pk, target.audience)] = target
        if len(self.problems.found) > before:
            return
        current = {
            (row.integration_id, row.audience): row
            for row in Subscription.objects.filter(check_ref=check).select_related("integration", "check_ref")
        }
        for key, target in wanted.items():
            with self._errors_at(target.path):
                self._subscribe(check, target, current.get(key))
        with self._errors_at(path):
            for key, row in current.items():
                if key not in wanted:
                    notification_services.unsubscribe(check, row.integration, row.audience)
                    name = row.integration.name
                    self.report.changes.append(f"check {check.slug}: target {name} off ({row.audience})")

    def _subscribe(self, check: Check, target: "_Target", row: Subscription | None) -> None:
        """Enable the target; options that are not named stay as they are."""
        name = f"check {check.slug}: target {target.integration.name}"
        if row is None:
            row = notification_services.subscribe(check, target.integration, target.audience)
            self.report.changes.append(f"{name} on ({target.audience})")
        if notification_services.change_subscription(row, **target.options):
            self.report.changes.append(f"{name} ({target.audience}): {', '.join(sorted(target.options))}")

    def _target(self, item: object, path: str) -> "_Target | None":
        """A name, or ``{name, audience, filter, cadence …}``."""
        if isinstance(item, str):
            item = {"name": item}
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            self.problems.add(path, "Write an integration's name, or {name: …, audience: …}.")
            return None
        self._known_keys(item, path, ("name", "audience", *SUBSCRIPTION_OPTIONS))
        name, audience = item["name"], item.get("audience", Audience.LIST.value)
        if name.casefold() in self.broken:
            return None
        integration = (
            self.integrations.get(name.casefold()) or Integration.objects.filter(name__iexact=name).first()
        )
        if integration is None:
            known = Integration.objects.values_list("name", flat=True)
            self.problems.add(path, f"There is no integration {name}. {suggest(name, known)}")
            return None
        possible = sorted(KINDS[integration.kind].audiences)
        if audience not in possible:
            self.problems.add(
                path, f"{name} supports these audiences: {', '.join(possible)}. {suggest(audience, possible)}"
            )
            return None
        options = {key: item[key] for key in SUBSCRIPTION_OPTIONS if key in item}
        return _Target(integration, audience, options, path)

    def _messages(self, check: Check, kinds: JsonObject, path: str) -> None:
        """``messages: {webhook: "text"}`` or ``{webhook: {list: "text", user: null}}``; null: the default."""
        self._known_keys(kinds, path, tuple(KINDS))
        for kind, item in kinds.items():
            if kind not in KINDS:
                continue
            audiences = item if isinstance(item, dict) else {Audience.LIST.value: item}
            self._known_keys(audiences, join_path(path, kind), tuple(sorted(KINDS[kind].audiences)))
            for audience, text in audiences.items():
                if audience in KINDS[kind].audiences:
                    self._message(check, kind, audience, text, join_path(join_path(path, kind), audience))

    def _message(self, check: Check, kind: str, audience: str, text: object, path: str) -> None:
        if text is not None and not isinstance(text, str):
            self.problems.add(path, "Write the message's text, or null for the default.")
            return
        stored = MessageTemplate.objects.filter(check_ref=check, kind=kind, audience=audience).first()
        if (stored.text if stored else None) == text:
            return
        with self._errors_at(path):
            if text is None:
                notification_services.reset_message(check, kind, audience=audience)
            else:
                notification_services.save_message(check, kind, text, audience=audience)
            self.report.changes.append(f"check {check.slug}: message for {kind} ({audience})")
