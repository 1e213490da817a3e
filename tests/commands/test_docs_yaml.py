"""Every YAML block of the documentation can be applied as it stands, with values for the secrets that it refers to."""

import json
import re
import textwrap
from pathlib import Path

import pytest
import trustme

from checks.services import sync_catalogue
from cii_project.configuration import apply_config
from cii_project.configuration.applying import SECTIONS
from cii_project.configuration.reading import parse_document
from integrations.auth.signing import new_signing_secret
from integrations.models import Integration
from tests.integrations.targets.test_every_kind import PEM

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^( *)```ya?ml\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
BLOCKS = [
    pytest.param(textwrap.dedent(match[2]), id=f"{page.relative_to(ROOT)}-{number}")
    for page in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    for number, match in enumerate(FENCED.finditer(page.read_text(encoding="utf-8")), start=1)
]
# What a reference has to hold, where not any text will do.
VALUES = {
    "PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
    "SCIM_TOKEN": "token-of-the-scim-source-0123456789",
    "SIEM_SIGNING_SECRET": new_signing_secret(),
    "SLACK_BOT_TOKEN": "xoxb-1234567890-abcdef",
}
A_CERTIFICATE = "-----BEGIN CERTIFICATE----- …"


def test_there_are_blocks_in_the_guides_of_the_targets():
    assert len(BLOCKS) >= 20


@pytest.fixture(scope="module")
def issued() -> trustme.LeafCert:
    return trustme.CA().issue_cert("client@example.com")


@pytest.mark.django_db
@pytest.mark.parametrize("block", BLOCKS)
def test_it_is_applied(block, tmp_path, issued):
    sync_catalogue()
    certificate, key = (blob.bytes().decode() for blob in (issued.cert_chain_pems[0], issued.private_key_pem))
    text = _with_files(_with_certificates(block, certificate), tmp_path, key)
    document = parse_document(text, as_json=False)
    if not set(document) & set(SECTIONS):
        document = _as_webhook(document)
    names = set(re.findall(r"\{env: ([A-Z][A-Z0-9_]*)\}", text))
    environment = {name: VALUES.get(name, _value(name)) for name in names}
    assert apply_config(document, environment).changes
    named = {one["name"] for one in document.get("integrations", ())}
    assert set(Integration.objects.values_list("name", flat=True)) == named
    assert apply_config(document, environment).changes == []


def test_a_key_that_stands_twice_is_no_yaml():
    """Else the second ``name`` of a block would replace the first, as it did in the guide of the file target."""
    with pytest.raises(Exception, match="twice"):
        parse_document("integrations:\n  - name: a\n    kind: file\n    name: b\n", as_json=False)


def _value(name: str) -> str:
    """A text, or an address where the name says so: any that a guide calls a secret URL ends in ``_URL``."""
    return f"https://example.com/{name.lower()}" if name.endswith("_URL") else f"value-of-{name}"


def _as_webhook(part: dict[str, object]) -> dict[str, object]:
    """A whole document around a part of a webhook: its authorization, or its body."""
    webhook = {
        "name": "example",
        "kind": "webhook",
        "url": "https://example.com/hook",
        "authorization": {"type": "basic", "username": "u", "password": "p"},
    }
    return {"integrations": [webhook | part]}


def _with_certificates(text: str, certificate: str) -> str:
    def real(match: re.Match[str]) -> str:
        return textwrap.indent(certificate, match[1])

    return re.sub(rf"^( *){A_CERTIFICATE}\n", real, text, flags=re.MULTILINE)


def _with_files(text: str, folder: Path, key: str) -> str:
    """The files that it refers to, made: a private key where the name ends in ``.pem``, a service account's where it ends
    in ``.json``."""
    account = {"type": "service_account", "client_email": "checks@example.com", "private_key": PEM}

    def made(match: re.Match[str]) -> str:
        path = folder / Path(match[1]).name
        texts = {".pem": key if "client" in path.name else PEM, ".json": json.dumps(account)}
        path.write_text(texts.get(path.suffix, "text of a file"))
        return f"{{file: {path}}}"

    return re.sub(r"\{file: ([^}]+)\}", made, text)
