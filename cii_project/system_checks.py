"""Mistakes in the settings become errors at the start, with what to do about them."""

from ipaddress import ip_network
from itertools import pairwise
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured


def _secret_key() -> str:
    try:
        return settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's own answer to an empty one
        return ""


@register()
def keys(**kwargs: Any) -> list[CheckMessage]:
    """No key, no start; and a key that is none is named by its place, never shown."""
    found: list[CheckMessage] = []
    if not _secret_key():
        hint = 'Make one: python -c "import secrets; print(secrets.token_urlsafe(50))"'
        found.append(Error("SECRET_KEY is not set.", hint=hint, id="cii.E001"))
    if not settings.FIELD_KEYS:
        hint = 'Make one: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
        found.append(Error("FIELD_KEYS is not set: secrets cannot be sealed.", hint=hint, id="cii.E002"))
    for place, key in enumerate(settings.FIELD_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            text = f"Key {place} of FIELD_KEYS is not a Fernet key (32 bytes, url-safe base64)."
            found.append(Error(text, hint="Separate keys by commas, without spaces.", id="cii.E003"))
    return found


@register()
def times(**kwargs: Any) -> list[CheckMessage]:
    """Dispatch < lease < task timeout < redelivery, or tasks run twice."""
    cluster = settings.Q_CLUSTER
    order = [
        ("DISPATCH_SECONDS", settings.DISPATCH_SECONDS),
        ("LEASE_SECONDS", settings.LEASE_SECONDS),
        ("TASK_TIMEOUT", cluster["timeout"]),
        ("TASK_RETRY", cluster["retry"]),
    ]
    return [
        Error(f"{low} ({a} s) must be less than {high} ({b} s).", id="cii.E004")
        for (low, a), (high, b) in pairwise(order)
        if a >= b
    ]


@register()
def debug_in_public(**kwargs: Any) -> list[CheckMessage]:
    if settings.DEBUG and set(settings.ALLOWED_HOSTS) - {"localhost", "127.0.0.1", "[::1]"}:
        return [
            Error("DEBUG is on and ALLOWED_HOSTS names a public host.", hint="Unset DEBUG.", id="cii.E005")
        ]
    return []


@register()
def networks(**kwargs: Any) -> list[CheckMessage]:
    """A CIDR with a slip in it would silently allow nothing; say so at the start."""
    found: list[CheckMessage] = []
    for text in settings.ALLOWED_NETWORKS:
        try:
            ip_network(text.strip())
        except ValueError as error:
            hint = "Write CIDRs such as 10.20.0.0/16, separated by commas."
            found.append(Error(f"ALLOWED_NETWORKS: {error}.", hint=hint, id="cii.E006"))
    return found
