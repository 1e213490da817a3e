"""Secrets at rest: sealed with the keys of ``FIELD_KEYS`` (Fernet); the first seals, all of them open."""

import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Model


class Unsealable(Exception):
    """No key of ``FIELD_KEYS`` opens what was sealed."""

    def __init__(self, what: str = "A stored secret") -> None:
        super().__init__(
            f"{what} cannot be opened with any key of FIELD_KEYS. Add the key that sealed it "
            "(at the end of the list), or enter the secret again."
        )


def seal(value: dict[str, Any] | str) -> str:
    """The sealed text of a text or of JSON data."""
    return _fernet().encrypt(json.dumps(value, separators=(",", ":")).encode()).decode()


def unseal(sealed: str) -> Any:
    """What :func:`seal` was given; an empty text holds nothing (``{}``). Raises :class:`Unsealable`."""
    if not sealed:
        return {}
    try:
        return json.loads(_fernet().decrypt(sealed.encode()))
    except InvalidToken:
        raise Unsealable from None


def rotate() -> int:
    """Re-seal every sealed column with the first key; the number of rows. Raises :class:`Unsealable`.

    A row that somebody saves meanwhile is already sealed with the first key and left alone.
    """
    fernet, count = _fernet(), 0
    for model in apps.get_app_config("integrations").get_models():
        if not _is_sealed(model):
            continue
        rows = model._default_manager.exclude(sealed="").values_list("pk", "sealed")
        for key, sealed in rows.iterator(chunk_size=500):
            try:
                fresh = fernet.rotate(sealed.encode()).decode()
            except InvalidToken:
                raise Unsealable(f"The secret of {model._meta.verbose_name} {key}") from None
            count += model._default_manager.filter(pk=key, sealed=sealed).update(sealed=fresh)
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
        # Without the cause: it would show the key.
        raise ImproperlyConfigured(
            "A key of FIELD_KEYS is no Fernet key: 32 bytes in URL-safe base64."
        ) from None
