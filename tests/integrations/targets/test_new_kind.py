"""A new kind is one folder: CONTRIBUTING's recipe, followed in a copy of the product."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from integrations.logos import FOLDERS, ROOT as LOGOS, LogoFinder
from integrations.targets import KINDS
from tests.receiver import Behaviour

ROOT = Path(__file__).parent.parent.parent.parent
PRODUCT = ("checks", "cii_project", "integrations", "notifications", "static", "templates")
DOCUMENT = {"url": "{receiver}", "token": "the-secret-token"}

USE = """
import json, sys
import django
django.setup()
from django.contrib.staticfiles import finders
from cii_project.console.integrations.target_forms import FieldsForm
from integrations.target_data import AttemptRequest, Target
from integrations.targets import KINDS

kind, document, event = KINDS["acme"], *map(json.loads, sys.argv[1:])
cleaned = kind.clean(document)
target = Target(1, "Room", "1c2d3e4f", "acme", cleaned.settings, cleaned.secrets)
body = kind.render(event, target)
outcome = kind.send(AttemptRequest("id", body.body, body.content_type, 1_700_000_000), target)
print(json.dumps({
    "kinds": list(KINDS),
    "logo": finders.find(kind.logo),
    "fields": list(FieldsForm(kind.form_fields).made),
    "described": dict(kind.describe(cleaned.settings)),
    "secret": kind.is_secret(["token"]),
    "result": outcome.result,
}))
"""


@pytest.fixture
def product(tmp_path):
    """A copy of the product without the tests."""
    for name in PRODUCT:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def use(product, receiver):
    event = json.loads((ROOT / "tests/integrations/golden/event.json").read_text())
    arguments = [json.dumps(DOCUMENT).replace("{receiver}", receiver.url("/room")), json.dumps(event)]
    environment = {
        "PYTHONPATH": str(product),
        "DJANGO_SETTINGS_MODULE": "cii_project.settings",
        "SECRET_KEY": "of-this-test-only-0123456789-0123456789-0123456789",
        "FIELD_KEYS": "0gyWtnK3n2sLJfl5mXnhXgZ6n0j2C6pJ9m8tVw1k0bQ=",
        "DATA_DIR": str(product / "data"),
        "ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", USE, *arguments],
        env=environment, cwd=product, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def add_folder(product, source):
    folder = product / "integrations/targets/acme"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "kind.py").write_text(source)
    (folder / "logo.svg").write_text("<svg/>")


def source_in_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    [source] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return source


def test_the_recipe_of_contributing_makes_a_kind_that_sends(product, receiver):
    receiver.script("/room", Behaviour(status=200))
    add_folder(product, source_in_contributing())
    found = use(product, receiver)
    assert set(found["kinds"]) == {*KINDS, "acme"}
    assert found["kinds"].index("acme") == found["kinds"].index("webex") + 1, "by its position"
    assert Path(found["logo"]) == product / "integrations/targets/acme/logo.svg"
    assert found["fields"][:2] == ["url", "token"]
    assert found["described"]["Token"] == "•••"
    assert found["secret"] is True
    assert found["result"] == "delivered"
    [request] = receiver.requests
    assert request.header("Authorization") == "Bearer the-secret-token"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("slug: ClassVar[str] = \"acme\"", "slug: ClassVar[str] = \"other\""), "declares the slug “other”"),
        (("(TargetKind)", "(object)"), "declares 0 subclasses of TargetKind"),
    ],
)  # fmt: skip
def test_a_folder_that_declares_no_kind_of_its_name_ends_the_start(product, receiver, change, message):
    add_folder(product, source_in_contributing().replace(*change))
    with pytest.raises(AssertionError, match=message):
        use(product, receiver)


def test_every_kind_is_found_in_the_order_of_its_position():
    assert next(iter(KINDS)) == "webhook"
    positions = [kind.position for kind in KINDS.values()]
    assert positions == sorted(positions)
    assert len(set(positions)) == len(positions)


def test_nothing_but_logos_is_served_from_the_folders_of_kinds():
    served = [path for path, _ in LogoFinder().list(None)]
    logos = [
        str(path.relative_to(LOGOS / folder))
        for folder in FOLDERS
        for path in (LOGOS / folder).rglob("*.svg")
    ]
    assert sorted(served) == sorted(logos)
    for path in ("targets/slack/kind.py", "targets/slack/../slack/logo.svg", "targets/logo.svg", "targets/"):
        assert not finders.find(path), path


def test_a_page_gets_the_logo_of_a_kind_as_a_static_file(client):
    answer = client.get(f"/static/{KINDS['slack'].logo}")
    assert answer.status_code == 200
    assert b"<svg" in b"".join(answer.streaming_content)
    assert answer.headers["Content-Type"] == "image/svg+xml"
