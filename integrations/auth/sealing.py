"""Secrets at rest, sealed (Fernet) with the first of ``FIELD_KEYS``; each of the keys unseals."""

import json
import logging
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Model

from integrations.errors import IntegrationError
from integrations.json_types import Json, JsonObject

log = logging.getLogger(__name__)


class UnsealError(IntegrationError):
    """No key of ``FIELD_KEYS`` unseals a stored text."""

    def __init__(self, what: str = "A stored secret") -> None:
        super().__init__(
            f"{what} cannot be opened with any key of FIELD_KEYS. Add the key that sealed it "
            "(at the end of the list), or enter the secret again."
        )


def seal(value: JsonObject | str) -> str:
    """A text or a JSON object as sealed text."""
    return _fernet().encrypt(json.dumps(value, separators=(",", ":")).encode()).decode()


def unseal(sealed: str) -> Json:
    """The value that was sealed; ``{}`` for an empty text. Raises :class:`UnsealError`."""
    if not sealed:
        return {}
    try:
        return json.loads(_fernet().decrypt(sealed.encode()))
    except InvalidToken:
        raise UnsealError from None


def unseal_or_none(sealed: str) -> Json:
    """The value that was sealed; None if no key unseals it."""
    try:
        return unseal(sealed)
    except UnsealError:
        return None


def seal_bytes(data: bytes) -> bytes:
    """Data, sealed; about a third longer."""
    return _fernet().encrypt(data)


def unseal_bytes(sealed: bytes) -> bytes:
    """The data that :func:`seal_bytes` sealed. Raises :class:`UnsealError`."""
    try:
        return _fernet().decrypt(sealed)
    except InvalidToken:
        raise UnsealError("Stored data") from None


def reseal_bytes(sealed: bytes) -> bytes:
    """The result of :func:`seal_bytes`, sealed again with the first key. Raises :class:`UnsealError`."""
    try:
        return _fernet().rotate(sealed)
    except InvalidToken:
        raise UnsealError("Stored data") from None


def rotate_keys() -> int:
    """Re-seal every sealed column with the first key; the number of rows.

    A row that is saved at the same time is sealed with the first key already, and is skipped. Raises
    :class:`UnsealError` that names the rows that no key unseals, after all others are sealed.
    """
    fernet, count, lost = _fernet(), 0, []
    for model in apps.get_app_config("integrations").get_models():
        if not _is_sealed(model):
            continue
        rows = model._default_manager.exclude(sealed="").values_list("pk", "sealed")
        for key, sealed in rows.iterator(chunk_size=500):
            try:
                fresh = fernet.rotate(sealed.encode()).decode()
            except InvalidToken:
                lost.append(f"{model._meta.verbose_name} {model._default_manager.get(pk=key)}")
                continue
            count += model._default_manager.filter(pk=key, sealed=sealed).update(sealed=fresh)
    log.info("Secrets sealed again with the first key", extra={"rows": count, "lost": lost})
    if lost:
        raise UnsealError(f"{count} secrets are sealed with the first of FIELD_KEYS, but {', '.join(lost)}")
    return count


def _is_sealed(model: type[Model]) -> bool:
    try:
        return bool(model._meta.get_field("sealed"))
    except FieldDoesNotExist:
        return False


def _fernet() -> MultiFernet:
    return _fernet_of(tuple(settings.FIELD_KEYS))


@lru_cache(maxsize=4)
def _fernet_of(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured(
            "FIELD_KEYS is empty, so no secret can be stored. Make a key with "
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'."
        )
    try:
        return MultiFernet([Fernet(key.strip()) for key in keys])
    except ValueError:
        # Without the cause, whose text contains the key.
        raise ImproperlyConfigured(
            "A key of FIELD_KEYS is not a Fernet key: 32 bytes in URL-safe base64."
        ) from None
