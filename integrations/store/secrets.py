"""The sealed part of an integration: secrets, and URLs that are one."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from cii_project.audit import services as audit
from integrations.auth import sealed_urls
from integrations.auth.sealing import seal, unseal, unseal_or_none
from integrations.models import Integration
from integrations.nested_values import value_at
from integrations.store.audit_values import log_fields
from integrations.store.signing_secrets import has_lost_signing_secret, live_signing_secrets
from integrations.target_data import CleanedDocument, Document, Target
from integrations.targets import KINDS, kind_of

log = logging.getLogger(__name__)

# The text at each secret of a form or file if the stored one cannot be used.
LOST_SECRET = "The stored secret cannot be opened with any key of FIELD_KEYS. Enter it again."  # noqa: S105  a text


def stored_document(integration: Integration) -> CleanedDocument:
    """The document as its kind validated it; ``lost`` is set if no key unseals its secrets."""
    secrets = unseal_or_none(integration.sealed)
    if secrets is None:
        return CleanedDocument(integration.settings, {}, LOST_SECRET)
    urls = secrets.pop(sealed_urls.KEY, {})
    return CleanedDocument(sealed_urls.with_whole_urls(integration.settings, urls), secrets)


def has_lost_secrets(integration: Integration) -> bool:
    """Whether no key unseals the secrets of its form (without its signing secrets)."""
    return unseal_or_none(integration.sealed) is None


def with_lost_secrets(integrations: Iterable[Integration]) -> list[Integration]:
    """The integrations with a secret that no key of ``FIELD_KEYS`` unseals: nothing can be sent to them.

    Reads ``signing_secrets``: prefetch it for many integrations.
    """
    return [each for each in integrations if has_lost_secrets(each) or has_lost_signing_secret(each)]


def target_of(integration: Integration) -> Target:
    """The integration with its secrets unsealed. Raises :class:`~integrations.auth.sealing.UnsealError`.

    Reads ``signing_secrets``: prefetch it for many integrations.
    """
    secrets = unseal(integration.sealed)
    urls = secrets.pop(sealed_urls.KEY, {})
    return replace(
        target_without_secrets(integration),
        settings=sealed_urls.with_whole_urls(integration.settings, urls),
        secrets=secrets,
        signing_secrets=tuple(unseal(secret.sealed) for secret in live_signing_secrets(integration)),
    )


def target_without_secrets(integration: Integration) -> Target:
    """The integration as rendering needs it: nothing is unsealed."""
    return Target(
        id=integration.pk,
        name=integration.name,
        short_id=integration.short_id,
        kind=integration.kind,
        settings=integration.settings,
    )


def document_of(integration: Integration) -> Document:
    """The document without secrets, for a form: a secret parameter is ``{"secret": True}``, a secret URL its host
    and a mask."""
    return dict(integration.settings)


def has_sealed_urls(integration: Integration) -> bool:
    """Whether one of its URLs is shown as host and mask."""
    paths = KINDS[integration.kind].sealed_urls if integration.kind in KINDS else ()
    return any(sealed_urls.is_masked_url(str(value_at(integration.settings, path, ""))) for path in paths)


def reveal_urls(integration: Integration) -> list[tuple[str, str]]:
    """Label and whole URL of each sealed URL; the audit trail records it.

    Raises :class:`~integrations.auth.sealing.UnsealError`.
    """
    urls = unseal(integration.sealed).get(sealed_urls.KEY, {})
    labels = {path: label for path, label in kind_of(integration.kind).sealed_urls.items() if path in urls}
    audit.record(audit.Action.REVEAL, integration, f"Revealed: {', '.join(labels.values())}.")
    log.warning("URLs revealed", extra=log_fields(integration) | {"urls": list(labels.values())})
    return [(label, urls[path]) for path, label in labels.items()]


def seal_urls() -> int:
    """Seal the URLs that an earlier version stored in clear; the number of integrations that had one."""
    count = 0
    for integration in Integration.objects.filter(kind__in=KINDS):
        settings, urls = sealed_urls.with_masked_urls(
            integration.settings, kind_of(integration.kind).sealed_urls
        )
        secrets = unseal_or_none(integration.sealed)
        if urls and secrets is not None:
            sealed = seal({**secrets, sealed_urls.KEY: urls | secrets.get(sealed_urls.KEY, {})})
            Integration.objects.filter(pk=integration.pk).update(settings=settings, sealed=sealed)
            log.info("URLs sealed that were stored in clear", extra=log_fields(integration))
            count += 1
    return count
