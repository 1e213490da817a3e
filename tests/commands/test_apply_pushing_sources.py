"""The section ``sources`` of the configuration file, for sources that push; ``sync`` leaves them out."""

import re

import pytest
import yaml
from django.core.management import CommandError, call_command

from cii_project.audit.models import AuditEntry
from cii_project.configuration import ConfigurationErrors, apply_config
from integrations.models import PushToken, SourceConnection
from tests.scim.worlds import Sender, connect

pytestmark = pytest.mark.django_db(transaction=True)

GIVEN, OTHER = (f"a-token-of-the-vault-{number}-0123456789-0123456789" for number in (1, 2))


def apply(**source):
    """The changes, by a file with one source and environment variables TOKEN and OTHER."""
    document = {"sources": [{"slug": "push", "kind": "scim", **source}]}
    return apply_config(document, environment={"TOKEN": GIVEN, "OTHER": OTHER, "SHORT": "short"})


def status(token):
    return Sender(SourceConnection.objects.get(), token).get("Users").status_code


def test_a_given_token_is_taken_and_another_one_is_a_rotation():
    assert apply(name="Okta pushes", token={"env": "TOKEN"}).changes == ["source push: created"]
    assert apply(token={"env": "TOKEN"}).changes == []
    assert apply().changes == []
    assert status(GIVEN) == 200
    assert apply(token={"env": "OTHER"}).changes == ["source push: changed"]
    assert (status(GIVEN), status(OTHER)) == (200, 200)
    assert GIVEN not in str(list(AuditEntry.objects.values()))


def test_a_token_that_is_made_is_written_to_the_file_of_secrets_alone(tmp_path, capsys):
    config, secrets = tmp_path / "config.yaml", tmp_path / "secrets.yaml"
    config.write_text(yaml.safe_dump({"sources": [{"slug": "push", "kind": "scim"}]}))
    call_command("apply_config", str(config), "--secrets-to", str(secrets))
    token = yaml.safe_load(secrets.read_text())["push"]
    assert re.fullmatch(r"scim_[\w-]{43}", token)
    assert token not in "".join(capsys.readouterr())
    assert status(token) == 200


@pytest.mark.parametrize("token", ["short", {"env": "SHORT"}, 7])
def test_a_token_that_is_refused_changes_nothing(token):
    with pytest.raises(ConfigurationErrors) as caught:
        apply(token=token)
    assert "sources[push]" in str(caught.value)
    assert not SourceConnection.objects.exists()
    assert not PushToken.objects.exists()


def test_a_key_that_it_does_not_have_is_named():
    with pytest.raises(ConfigurationErrors) as caught:
        apply(url="https://example.com")
    assert "url" in str(caught.value)


def test_sync_leaves_it_out():
    connect()
    for arguments in ((), ("push",), ("push", "--dry-run")):
        with pytest.raises(CommandError):
            call_command("sync", *arguments)
