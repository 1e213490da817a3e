"""manage.py sync, and the section ``sources`` of the configuration file."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from checks.models import Account, Source
from cii_project.configuration import ConfigurationErrors, apply_config
from integrations.models import SourceConnection, Sync
from tests.sync.worlds import connect, serving, small_okta, sync

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments):
    """The exit code and the output."""
    output = StringIO()
    try:
        call_command("sync", *arguments, stdout=output)
    except SystemExit as end:
        return end.code, output.getvalue()
    return 0, output.getvalue()


def test_a_sync_prints_its_counts():
    with serving(small_okta()) as server:
        connect(server)
        code, output = run("okta", "--format", "json")

    (row,) = json.loads(output)["sources"]
    assert (code, row["state"], row["exit_code"]) == (0, "succeeded", 0)
    assert {each["pass"]: each["records"] for each in row["passes"]} == {
        "users": 4,
        "roles": 1,
        "groups": 2,
        "factors": 3,
    }
    assert Account.objects.count() == 4


def test_a_pass_without_permission_is_exit_code_1_and_says_which():
    with serving(small_okta(forbidden=("/api/v1/groups",))) as server:
        connect(server)
        code, output = run()

    assert code == 1
    assert "groups: The provider answered 403: E0000006" in " ".join(output.split())


def test_a_dry_run_counts_and_stores_nothing():
    okta = small_okta()
    with serving(okta) as server:
        connection = connect(server)
        code, output = run("--dry-run", "--format", "json")
        (row,) = json.loads(output)["sources"]
        assert (code, row["passes"][0]["created"], Account.objects.count()) == (0, 4, 0)

        sync(connection)
        del okta.users["00u1"]
        code, output = run("--dry-run")

    assert code == 1
    assert "The listing lacks 1 of 4 accounts: a sync would be held." in " ".join(output.split())
    assert Sync.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["octa"], "There is no connected source octa. Did you mean okta?"), ([], "No source is connected")],
)
def test_what_cannot_be_synced_is_exit_code_2(arguments, text):
    with serving(small_okta()) as server:
        connection = connect(server)
        SourceConnection.objects.filter(pk=connection.pk).update(state="paused")
        with pytest.raises(CommandError, match=text) as refused:
            call_command("sync", *arguments)
    assert refused.value.returncode == 2


# --- The configuration file -----------------------------------------------------------------------------

DOCUMENT = {
    "slug": "okta",
    "name": "Okta production",
    "kind": "okta",
    "url": "https://example.okta.com",
    "authorization": "api_token",
    "api_token": {"env": "OKTA_TOKEN"},
    "secret_expires_on": "2027-01-31",
}
ENVIRONMENT = {"OKTA_TOKEN": "00the-token-of-the-file"}


def apply(*items):
    return apply_config({"sources": list(items)}, ENVIRONMENT).changes


def test_a_source_is_created_once_and_changed_by_what_the_file_names():
    assert apply(DOCUMENT) == ["source okta: created"]
    assert apply(DOCUMENT) == []
    assert apply({"slug": "okta", "period_hours": 12, "state": "paused"}) == [
        "source okta: changed",
        "source okta: paused",
    ]
    connection = SourceConnection.objects.get()
    assert (connection.period_hours, connection.state, connection.settings["url"]) == (
        12,
        "paused",
        DOCUMENT["url"],
    )
    assert Source.objects.get().name == "Okta production"
    assert "00the-token" not in json.dumps(connection.settings)


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        ({"kind": "octa"}, "sources[okta].kind", "Did you mean okta?"),
        ({"slug": "Okta!"}, "sources[Okta!].slug", "lower case letters"),
        ({"url": "https://example.okta.com/admin"}, "sources[okta].url", "without a path"),
        ({"url": "http://example.okta.com"}, "sources[okta].url", "starts with https"),
        ({"period_hours": 0}, "sources[okta].period_hours", "from 1 to 168"),
        ({"secret_expires_on": "soon"}, "sources[okta].secret_expires_on", "2027-01-31"),
        ({"state": "off"}, "sources[okta].state", "active, paused"),
        ({"url": {"env": "OKTA_TOKEN"}}, "sources[okta].url", "Only a secret key"),
        ({"attributes": ["employee=id"]}, "sources[okta].attributes", "field=attribute"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_key_is_named_and_nothing_changes(change, path, text):
    with pytest.raises(ConfigurationErrors) as refused:
        apply(DOCUMENT | change)
    assert text in refused.value.errors[path]
    assert not Source.objects.exists()
