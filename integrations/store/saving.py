"""Creating and changing an integration from the document of a form or a configuration file."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from cii_project.audit import services as audit
from integrations.auth import sealed_urls
from integrations.auth.sealing import seal, unseal_or_none
from integrations.json_types import JsonMapping, JsonObject
from integrations.models import Integration, OAuthToken
from integrations.nested_values import value_at
from integrations.store.audit_values import audit_values, changed_secrets, log_fields, record_change
from integrations.store.limits import limit_error
from integrations.store.secrets import has_lost_secrets, stored_document
from integrations.store.signing_secrets import ensure_signing_secret
from integrations.target_data import CleanedDocument, Document, InvalidDocument
from integrations.targets import KINDS, kind_of
from integrations.targets.shared.documents import CONTROL, authority
from integrations.text_encoding import is_encodable

log = logging.getLogger(__name__)

Limits = Mapping[str, float | None]
NAME_TAKEN = "Another integration has this name. Choose another."


@dataclass(frozen=True, slots=True)
class SaveResult:
    """``signing_secret`` is set if one was generated: it is shown now and never again."""

    integration: Integration
    changed: bool
    signing_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Form:
    """Settings of a form or file in addition to the document."""

    name: str
    kind: str
    description: str
    owner_email: str
    limits: Limits


def save_integration(
    *,
    name: str,
    kind: str,
    document: Document,
    description: str = "",
    owner_email: str = "",
    limits: Limits | None = None,
    integration: Integration | None = None,
) -> SaveResult:
    """Create an integration, or change ``integration``; a secret that ``document`` leaves out stays as it is.

    Saving the same twice changes nothing. A ``signing.secret`` other than the newest live one is a rotation: the
    old one stays live for a day. ``limits`` holds any of ``per_second``, ``concurrency``, ``max_attempts`` and
    ``max_age_hours``; None in one of them means the kind's default, and ``limits=None`` leaves all as they are.
    Raises :class:`~integrations.target_data.InvalidDocument`.
    """
    form = _Form(name, kind, description, owner_email, limits or {})
    errors = _form_errors(form, integration)
    cleaned = CleanedDocument({}, {})
    if kind in KINDS:
        try:
            cleaned = _clean(kind, document, integration)
        except InvalidDocument as error:
            errors |= error.errors
    if errors:
        raise InvalidDocument(errors)
    try:
        with transaction.atomic():
            saved, changed = _save(form, cleaned, integration)
            generated, rotated = ensure_signing_secret(
                saved,
                is_signing=bool(value_at(cleaned.settings, "signing.enabled")),
                entered=value_at(document, "signing.secret") or None,
            )
    except IntegrityError:
        # The same name was saved between the check and now.
        raise InvalidDocument({"name": NAME_TAKEN}) from None
    return SaveResult(saved, changed or rotated, generated)


def _clean(kind: str, document: Document, integration: Integration | None) -> CleanedDocument:
    """The validated document as it is stored: the whole sealed URLs are among the secrets."""
    stored = stored_document(integration) if integration else None
    paths = kind_of(kind).sealed_urls
    if stored and isinstance(document, Mapping) and authority(document) == authority(stored.settings):
        urls = {path: url for path in paths if isinstance(url := value_at(stored.settings, path), str)}
        document = sealed_urls.with_whole_urls(document, urls)
    cleaned = kind_of(kind).clean(document, stored)
    settings, urls = sealed_urls.with_masked_urls(cleaned.settings, paths)
    return CleanedDocument(settings, {**cleaned.secrets, **({sealed_urls.KEY: urls} if urls else {})})


def _form_errors(form: _Form, integration: Integration | None) -> dict[str, str]:
    errors = {}
    if not _is_name(form.name):
        errors["name"] = "Write 1 to 64 characters, without spaces at the ends or control characters."
    elif _is_name_taken(form.name, integration):
        errors["name"] = NAME_TAKEN
    if form.kind not in KINDS:
        errors["kind"] = f"Write one of: {', '.join(KINDS)}."
    elif integration and integration.kind != form.kind:
        errors["kind"] = (
            f"The kind of an integration stays ({integration.kind}). Add a new integration instead."
        )
    if not isinstance(form.description, str) or len(form.description) > 512 or "\x00" in form.description:
        errors["description"] = "Write at most 512 characters."
    if form.owner_email:
        try:
            validate_email(form.owner_email)
        except ValidationError:
            errors["owner_email"] = "Write an e-mail address such as ann@example.com."
    for name, value in form.limits.items():
        if problem := limit_error(name, value):
            errors[f"limits.{name}"] = problem
    return errors


def _is_name(name: object) -> bool:
    return (
        isinstance(name, str)
        and 1 <= len(name) <= 64
        and name == name.strip()
        and not CONTROL.search(name)
        and is_encodable(name)
    )


def _is_name_taken(name: str, integration: Integration | None) -> bool:
    own = integration.pk if integration else None
    return any(pk != own for pk in Integration.objects.filter(name__iexact=name).values_list("pk", flat=True))


def _save(form: _Form, cleaned: CleanedDocument, integration: Integration | None) -> tuple[Integration, bool]:
    """The saved integration, and whether anything changed."""
    columns: JsonObject = {
        "name": form.name,
        "kind": form.kind,
        "description": form.description,
        "owner_email": form.owner_email,
        "settings": cleaned.settings,
        **form.limits,
    }
    if integration is not None:
        return integration, _change(integration, columns, cleaned.secrets)
    integration = Integration.objects.create(**columns, sealed=seal(cleaned.secrets))
    audit.record(audit.Action.ADD, integration, "Added.", after=audit_values(integration))
    log.info("Target added", extra=log_fields(integration) | {"kind": integration.kind})
    return integration, True


def _change(integration: Integration, columns: JsonMapping, secrets: JsonObject) -> bool:
    """Write the columns that differ; the others may be written by the dispatcher at the same time."""
    before = audit_values(integration)
    stored_secrets = unseal_or_none(integration.sealed)
    if has_lost_secrets(integration):
        # Its token is lost too: another is fetched.
        OAuthToken.objects.filter(integration=integration).delete()
    fields = [name for name, value in columns.items() if getattr(integration, name) != value]
    for name in fields:
        setattr(integration, name, columns[name])
    if stored_secrets != secrets:
        integration.sealed = seal(secrets)
        fields.append("sealed")
    if not fields:
        return False
    integration.save(update_fields=[*fields, "updated_at"])
    record_change(integration, before, changed_secrets(stored_secrets or {}, secrets))
    log.info("Target changed", extra=log_fields(integration) | {"columns": fields})
    return True
