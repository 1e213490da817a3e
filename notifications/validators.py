"""Validators for the settings of messages: values used in mails and chats, in headers and in styles."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email

from integrations.services import LANGUAGES, smtp_address, without_repeats

MOST_SIGNATURE_LINES = 6
MOST_SIGNATURE_CHARACTERS = 500
# WCAG 2.2, 1.4.3: of text to its background. The button's text is white.
LEAST_CONTRAST = 4.5
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# As the links of messages (integrations/targets/shared/summary.py): nothing that ends an attribute or an address.
_URL = re.compile(r"https://[^\s<>\"'|\\^`{}()@/?#]+([/?#][^\s<>\"'|\\^`{}()]*)?")
_https = URLValidator(schemes=["https"])


def validate_https_url(value: str) -> None:
    """An https URL without a user name, for use in a message. Raises ``ValidationError``."""
    try:
        _https(value)
    except ValidationError:
        raise ValidationError(f"“{value}” is not accepted. Write a URL that starts with https://.") from None
    if not _URL.fullmatch(value):
        raise ValidationError("Write a URL without user name, spaces, quotes, brackets or braces.")


def validate_line(value: str) -> None:
    """One line without control characters. Raises ``ValidationError``."""
    if _CONTROL.search(value):
        raise ValidationError("Write one line without control characters.")


def validate_signature(value: str) -> None:
    """A few lines without other control characters. Raises ``ValidationError``."""
    if len(value) > MOST_SIGNATURE_CHARACTERS:
        raise ValidationError(
            f"The signature has {len(value)} characters. Write at most {MOST_SIGNATURE_CHARACTERS}."
        )
    lines = value.replace("\r\n", "\n").split("\n")
    if len(lines) > MOST_SIGNATURE_LINES:
        raise ValidationError(
            f"The signature has {len(lines)} lines. Write at most {MOST_SIGNATURE_LINES} lines."
        )
    for line in lines:
        validate_line(line)


def validate_sender(value: str) -> None:
    """An address that a mail can carry in its headers. Raises ``ValidationError``."""
    if smtp_address(value) is None:
        raise ValidationError(f"“{value}” is not accepted. Write an e-mail address such as ann@example.com.")


def validate_language(value: str) -> None:
    """A language with a catalogue. Raises ``ValidationError``."""
    if value not in LANGUAGES:
        raise ValidationError(f"Unknown language “{value}”. Use one of {', '.join(LANGUAGES)}.")


def validate_accent(value: str) -> None:
    """A colour on which white text is legible. Raises ``ValidationError``."""
    if not _COLOUR.fullmatch(value):
        raise ValidationError(f"“{value}” is not accepted. Write a colour as #rrggbb, such as #0b5cad.")
    contrast = contrast_to_white(value)
    if contrast < LEAST_CONTRAST:
        raise ValidationError(
            f"White text on {value} has a contrast of {contrast:.1f} to 1. Choose a darker colour, with at least "
            f"{LEAST_CONTRAST} to 1."
        )


def contrast_to_white(colour: str) -> float:
    """The contrast of white to ``#rrggbb``, from 1 to 21 (WCAG 2.2, "relative luminance")."""
    red, green, blue = (_linear(int(colour[place : place + 2], 16) / 255) for place in (1, 3, 5))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _linear(channel: float) -> float:
    """An sRGB channel (0 to 1) as light."""
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


MOST_ADDRESSES = 50


def addresses_of(text: str) -> list[str]:
    """The e-mail addresses of a text with commas or line breaks between them, the first of each mailbox."""
    return without_repeats(part.strip() for part in re.split(r"[,\n]", text) if part.strip())


def validate_addresses(value: str) -> None:
    """E-mail addresses, at most ``MOST_ADDRESSES``."""
    found = addresses_of(value)
    if len(found) > MOST_ADDRESSES:
        raise ValidationError(f"These are {len(found)} addresses. Use at most {MOST_ADDRESSES}.")
    for address in found:
        try:
            validate_email(address)
        except ValidationError:
            raise ValidationError(
                f"“{address}” is no e-mail address. Write one such as ann@example.com."
            ) from None
