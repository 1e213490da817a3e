"""Which text can be encoded as UTF-8 and stored in both databases."""


def storable(text: str) -> str:
    """The text without NUL, which PostgreSQL refuses, and without lone surrogates, which UTF-8 cannot encode."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can encode the text. It cannot encode lone surrogates, which JSON can contain."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
