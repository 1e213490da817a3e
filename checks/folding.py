"""The one rule by which two spellings of a text are the same."""

import unicodedata


def folded(text: str) -> str:
    """The text case-folded and in Unicode's composed form (NFC): equal for spellings that mean the same login, address,
    id, department or tag. Folding can lengthen a text (ß becomes ss)."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())
