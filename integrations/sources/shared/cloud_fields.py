"""Fields that the forms of several providers on the internet have."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from integrations.auth.client_assertions import SigningKeyError, private_key
from integrations.json_types import JsonObject
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import CA, Field

PROXY_CA = replace(
    CA,
    help="PEM of an authority that is trusted in addition to the public ones, for a proxy that inspects TLS.",
)


def pass_field(slug: str, label: str, *, default: bool, help: str = "") -> Field:
    """Whether a pass is read that a source can do without."""
    return Field(path=f"passes.{slug}", label=label, help=help, widget="checkbox", default=default)


def groups_field(*, default: bool) -> Field:
    """Whether groups are read, which takes a call or more for each."""
    return pass_field("groups", "Read groups", help="One call or more for each group.", default=default)


def check_private_key(reader: DocumentReader, secrets: JsonObject) -> None:
    """Report at its field that the secret ``private_key``, if it is given, is none that can sign."""
    if key := secrets.get("private_key"):
        with key_errors(reader, "private_key"):
            private_key(key)


@contextmanager
def key_errors(reader: DocumentReader, path: str) -> Iterator[None]:
    """Report at the field of ``path`` that the block cannot use its private key."""
    try:
        yield
    except SigningKeyError as error:
        reader.add_error(path, str(error))
