"""The scripted sources of ``demo --live`` say through their APIs what the files say."""

from datetime import UTC, datetime

import pytest

from checks.models import Account
from cii_project.tools.demo import live_sources, sample_exports
from cii_project.tools.scripted_sources.server import ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def records():
    return sample_exports.build(datetime(2026, 7, 1, tzinfo=UTC), users=100)


@pytest.mark.parametrize(
    ("slug", "make"), [("okta", live_sources.scripted_okta), ("entra", live_sources.scripted_entra)]
)
def test_a_live_source_has_the_accounts_factors_and_roles_of_its_file(records, slug, make):
    given = {record["login"]: record for record in records[slug]}
    with ScriptedServer(make(records[slug])) as server:
        live_sources.sync_now(live_sources.connect(slug, slug, server), lambda sync: None)

    found = {account.login: account for account in Account.objects.all()}
    assert set(found) == set(given)
    enabled = [login for login, account in found.items() if account.status == "active"]
    assert len(enabled) > 50
    for login in enabled:
        account, record = found[login], given[login]
        assert account.mfa == bool(record["mfa_factors"]), login
        assert account.admin_roles == record["admin_roles"], login
        assert account.department == record["department"], login
        assert bool(account.last_sign_in_at) == bool(record["last_sign_in_at"]), login
        assert account.manager == record["manager"] or slug == "entra", login


def test_a_user_keeps_the_immutable_id_in_every_version_of_the_data(records):
    later = sample_exports.build(datetime(2026, 7, 1, tzinfo=UTC), users=100, version=2)
    first, second = live_sources.scripted_okta(records["okta"]), live_sources.scripted_okta(later["okta"])
    assert set(first.users) == set(second.users)
    assert first.factors != second.factors
