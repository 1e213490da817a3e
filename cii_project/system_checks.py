"""Mistakes in the settings become errors at the start, with what to do about them."""

from base64 import urlsafe_b64decode
from ipaddress import ip_network
from itertools import pairwise

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.checks.security.base import (
    SECRET_KEY_INSECURE_PREFIX,
    SECRET_KEY_MIN_LENGTH,
    SECRET_KEY_MIN_UNIQUE_CHARACTERS,
)
from django.core.exceptions import ImproperlyConfigured

from integrations.services import host_entry, is_guessable, network_entry


def _secret_key() -> str:
    try:
        return str(settings.SECRET_KEY)
    except ImproperlyConfigured:  # Django's own answer to an empty one
        return ""


FIELD_KEY_HINT = (
    'Make one: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
)


def _weakness(secret: str) -> str:
    """Django's rules for a SECRET_KEY (security.W009), and ours for signing secrets, as the end of a sentence; empty
    where it keeps them."""
    if len(secret) < SECRET_KEY_MIN_LENGTH:
        return f"has {len(secret)} characters, at least {SECRET_KEY_MIN_LENGTH} are needed"
    if len(set(secret)) < SECRET_KEY_MIN_UNIQUE_CHARACTERS:
        return f"has {len(set(secret))} different characters, at least {SECRET_KEY_MIN_UNIQUE_CHARACTERS} are needed"
    if secret.startswith(SECRET_KEY_INSECURE_PREFIX):
        return f"starts with {SECRET_KEY_INSECURE_PREFIX}, as those that Django writes into a new project"
    if is_guessable(secret.encode()):
        return "repeats a pattern or counts up"
    return ""


@register()
def keys(**kwargs: object) -> list[CheckMessage]:
    """Require keys. An invalid key is named by its place and never shown."""
    found: list[CheckMessage] = []
    hint = 'Make one: python -c "import secrets; print(secrets.token_urlsafe(50))"'
    if not (secret := _secret_key()):
        found.append(Error("SECRET_KEY is not set.", hint=hint, id="cii.E001"))
    elif problem := _weakness(secret):
        found.append(Error(f"SECRET_KEY can be guessed: it {problem}.", hint=hint, id="cii.E007"))
    if not settings.FIELD_KEYS:
        found.append(
            Error("FIELD_KEYS is not set: secrets cannot be sealed.", hint=FIELD_KEY_HINT, id="cii.E002")
        )
    for place, key in enumerate(settings.FIELD_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            text = f"Key {place} of FIELD_KEYS is not a Fernet key (32 bytes, url-safe base64)."
            found.append(Error(text, hint="Separate keys by commas, without spaces.", id="cii.E003"))
            continue
        if is_guessable(urlsafe_b64decode(key)):
            text = f"Key {place} of FIELD_KEYS can be guessed: it was not made at random."
            found.append(Error(text, hint=FIELD_KEY_HINT, id="cii.E008"))
    return found


@register()
def times(**kwargs: object) -> list[CheckMessage]:
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
def debug_in_public(**kwargs: object) -> list[CheckMessage]:
    if settings.DEBUG and set(settings.ALLOWED_HOSTS) - {"localhost", "127.0.0.1", "[::1]"}:
        return [
            Error("DEBUG is on and ALLOWED_HOSTS names a public host.", hint="Unset DEBUG.", id="cii.E005")
        ]
    return []


@register()
def https_without_proxy(**kwargs: object) -> list[CheckMessage]:
    """``serve`` speaks plain HTTP: without a proxy in TRUSTED_PROXIES no request counts as HTTPS."""
    if settings.IS_HTTPS and not settings.TRUSTED_PROXIES:
        text = (
            "PUBLIC_URL is an https address and TRUSTED_PROXIES is empty: each page would redirect to itself."
        )
        hint = "Set TRUSTED_PROXIES to the address of the proxy that ends TLS, such as 127.0.0.1/32."
        return [Warning(text, hint=hint, id="cii.W011")]
    return []


@register()
def networks(**kwargs: object) -> list[CheckMessage]:
    """An entry that cannot be read would silently open or close nothing; one without a port opens every port."""
    found: list[CheckMessage] = []
    for setting, read in (
        ("ALLOWED_NETWORKS", network_entry),
        ("DENIED_NETWORKS", network_entry),
        ("OUTGOING_HOSTS", host_entry),
    ):
        for text in getattr(settings, setting):
            try:
                entry = read(setting, text)
            except ValueError as error:
                found.append(Error(str(error), hint="Separate entries by commas.", id="cii.E006"))
                continue
            if setting == "ALLOWED_NETWORKS" and entry.port is None:
                said = f"ALLOWED_NETWORKS: “{text}” names no port, so targets may call every port of it."
                example = f"[{text}]:443" if ":" in text else f"{text}:443"
                hint = f"Name the port that targets need, such as {example}."
                found.append(Warning(said, hint=hint, id="cii.W006"))
    return found


@register()
def proxies(**kwargs: object) -> list[CheckMessage]:
    """An entry of TRUSTED_PROXIES that is not a network would fail the first request."""
    return _not_networks("TRUSTED_PROXIES", settings.TRUSTED_PROXIES, "cii.E010")


def _not_networks(name: str, texts: list[str], id: str) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for text in texts:
        try:
            ip_network(text.strip())
        except ValueError as error:
            hint = "Write CIDRs such as 10.20.0.0/16, separated by commas."
            found.append(Error(f"{name}: {error}.", hint=hint, id=id))
    return found
