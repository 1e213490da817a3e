"""The records: every model is there, nothing that a service changes can be edited, no secret shows."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin

from checks.models import Source
from cii_project.audit.admin import FirstRows
from cii_project.audit.models import AuditEntry
from integrations.auth.sealing import seal
from integrations.models import OAuthToken
from notifications.models import Subscription
from notifications.services import subscribe
from tests.console.checks_world import attempted, check_of, client_of, delivered, failing_run, text, webhook

pytestmark = pytest.mark.django_db
OURS = [
    model
    for app in ("audit", "checks", "integrations", "notifications", "console")
    for model in apps.get_app_config(app).get_models()
]
THEIRS = [User, Group, Schedule, Success, Failure, OrmQ]
EDITABLE = {User, Source}


def url(model, action="changelist", *args):
    from django.urls import reverse

    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{action}", args=args)


@pytest.fixture
def world():
    failing_run("ann@example.com")
    target = webhook(
        parameters={"header": {"X-Key": {"value": "hush-hush", "secret": True}}, "query": {}, "body": {}}
    )
    OAuthToken.objects.create(integration=target, fingerprint="finger-print", sealed=seal("access-token"))
    subscribe(check_of(), target)
    attempted(delivered(target, body=b'{"secret":"in-the-bytes"}'))
    Schedule.objects.create(name="daily", func="notifications.tasks.sweep", next_run=timezone.now())
    return target


@pytest.mark.parametrize("model", [*OURS, *THEIRS], ids=lambda model: model.__name__)
def test_every_model_has_a_list_in_the_same_look(model, world, admin_client):
    assert isinstance(admin.site.get_model_admin(model), ModelAdmin)
    assert admin_client.get(url(model)).status_code == 200


@pytest.mark.parametrize(
    "model", [m for m in [*OURS, *THEIRS] if m not in EDITABLE], ids=lambda model: model.__name__
)
def test_a_record_is_to_look_at_even_for_a_superuser(model, world, admin_client):
    assert admin_client.get(url(model, "add")).status_code == 403
    one = model.objects.first()
    if one is not None:
        page = admin_client.get(url(model, "change", one.pk))
        assert page.status_code == 200
        assert 'name="_save"' not in text(page)
        assert admin_client.post(url(model, "change", one.pk), {}).status_code == 403
        assert admin_client.post(url(model, "delete", one.pk), {"post": "yes"}).status_code == 403
        assert model.objects.filter(pk=one.pk).exists()


def test_a_source_may_be_renamed_but_keeps_its_kind(world, admin_client):
    source = Source.objects.get()
    admin_client.post(
        url(Source, "change", source.pk), {"name": "Okta two", "provider": "OKTA", "kind": "hr"}
    )
    source.refresh_from_db()
    assert (source.name, source.kind) == ("Okta two", "identity")


def test_no_secret_is_shown_in_any_list_or_record(world, admin_client):
    hidden = ["s3cret-pass", "hush-hush", "access-token", "finger-print", "in-the-bytes", world.sealed]
    hidden += [secret.sealed for secret in world.signing_secrets.all()]
    for model in OURS:
        pages = [url(model), *(url(model, "change", one.pk) for one in model.objects.all()[:2])]
        for page in pages:
            body = text(admin_client.get(page))
            assert not [secret for secret in hidden if secret in body], page


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_no_list_counts_its_whole_table_and_none_asks_row_by_row(model, world, admin_client):
    for number in range(4):
        target = webhook(f"target {number}")
        subscribe(check_of(), target)
        attempted(delivered(target))
    admin_client.get(url(model))
    with CaptureQueriesContext(connection) as taken:
        admin_client.get(url(model))
    statements = [query["sql"] for query in taken.captured_queries]
    table = model._meta.db_table
    counted = [s for s in statements if "COUNT(*)" in s and f'FROM "{table}"' in s]
    small = {"integrations_integration", "integrations_signingsecret", "integrations_oauthtoken"}
    # Counted up to a bound.
    assert all("LIMIT" in statement for statement in counted) or table in small
    assert len(statements) <= 20


def test_the_queue_can_run_nothing_from_the_admin(admin_client, world):
    schedule = Schedule.objects.get(name="daily")
    for model in (Schedule, Success, Failure, OrmQ):
        assert "resubmit" not in text(admin_client.get(url(model)))
    answer = admin_client.post(url(Schedule, "change", schedule.pk), {"func": "os.system"})
    assert answer.status_code == 403


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Engineer", "Administrator"])
def test_the_records_are_for_superusers_and_the_audit_trail_for_administrators(world, role):
    client = client_of(role)
    assert client.get(url(Subscription)).status_code == 403
    assert client.get(url(Schedule)).status_code == 403
    assert client.get("/admin/").status_code == 403
    sees_audit = role == "Administrator"
    assert client.get(url(AuditEntry)).status_code == (200 if sees_audit else 403)
    page = text(client.get("/"))
    assert ('href="/admin/audit/auditentry/"' in page) == sees_audit
    assert "/admin/auth/" not in page
    assert 'href="/admin/"' not in page


def test_a_superuser_has_the_records_in_one_place_of_the_menu(world, admin_client):
    page = text(admin_client.get("/admin/auth/user/"))
    assert page.count("Administration<span") == 1
    for link in ("/admin/audit/auditentry/", "/admin/auth/user/", "/admin/"):
        assert f'href="{link}"' in page
    menu = page[page.index('id="nav-sidebar-apps"') :]
    (lit,) = re.findall(r'href="([^"]+)"[^>]*aria-current="page"', menu)
    assert lit == "/admin/auth/user/"


def test_a_list_counts_its_rows_once_and_says_where_it_stops(world, admin_client, monkeypatch):
    page = text(admin_client.get(f"{url(AuditEntry)}?action=nothing-like-this"))
    assert not re.search(r"\d+ results", page)
    many = [
        AuditEntry(at=timezone.now(), actor_kind="member", actor="ann", action="act", text=f"Act {number}.")
        for number in range(12)
    ]
    AuditEntry.objects.bulk_create(many)
    monkeypatch.setattr(FirstRows, "most", 10)
    page = re.sub(r"\s+", " ", text(admin_client.get(url(AuditEntry))))
    assert "10+ audit entries" in page
    page = re.sub(r"\s+", " ", text(admin_client.get(f"{url(AuditEntry)}?action=export")))
    assert "0 audit entries" in page


def test_the_audit_trail_reads_as_sentences(world, admin_client):
    page = text(admin_client.get(url(AuditEntry)))
    assert "added the target “soar”." in page
