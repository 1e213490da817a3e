"""Pages that list targets stay small and quick with ten thousand of them."""

import re

import pytest
from django.db.models import Q

from integrations.models import Integration
from notifications.models import Subscription
from tests.console.checks_world import HTMX, check_of, client_of, delivered, queries, text, webhook

pytestmark = pytest.mark.django_db
MANY = 10_000
MOST_BYTES = 300_000
MOST_QUERIES = 20


@pytest.fixture(scope="module")
def names():
    return [f"target {number:05}" for number in range(MANY)]


@pytest.fixture
def many(names):
    """Ten thousand webhooks, every hundredth of them enabled on no-mfa."""
    first = webhook(names[0])
    copied = {field.attname: getattr(first, field.attname) for field in Integration._meta.concrete_fields}
    for unique in ("id", "name", "short_id"):
        copied.pop(unique, None)
    # Of ten thousand random short ids two would be the same in one run of a hundred.
    others = [
        Integration(name=name, short_id=f"{number:08x}", **copied) for number, name in enumerate(names[1:])
    ]
    Integration.objects.bulk_create(others, batch_size=1000)
    check = check_of()
    chosen = list(Integration.objects.order_by("name").values_list("pk", flat=True)[::100])
    Subscription.objects.bulk_create(
        Subscription(check_ref=check, integration_id=pk, audience="list") for pk in chosen
    )
    return first


def test_every_page_with_targets_stays_small_and_asks_little(many):
    delivered(many)
    client = client_of("Engineer")
    for address in (
        "/integrations/",
        "/integrations/?size=100",
        "/checks/",
        "/checks/no-mfa/",
        "/checks/no-mfa/messages",
        "/deliveries/",
        f"/deliveries/?target={many.pk}",
    ):
        assert queries(client, address) <= MOST_QUERIES, address
        assert len(client.get(address).content) < MOST_BYTES, address


def test_the_list_of_targets_is_searched_and_says_how_many_there_are(many):
    client = client_of("Viewer")
    page = text(client.get("/integrations/"))
    assert "10,000 targets" in page
    assert page.count("data-menu") < 60
    assert re.findall(
        r'class="c-name" href="/integrations/\d+/">(.*?)</a>',
        text(client.get("/integrations/?q=09999+target")),
    ) == ["target 09999"]


def test_the_menu_of_a_check_shows_the_enabled_targets_first_and_finds_the_others(many):
    client = client_of("Operator")
    page = text(client.get("/checks/no-mfa/"))
    assert '<span id="targets-count" class="chk-pill">100</span>' in page
    assert "9,970 more: search by name." in page
    found = text(client.get("/checks/no-mfa/targets?q=00042", headers=HTMX))
    assert "target 00042" in found
    assert found.count('class="chk-target"') == 1
    target = Integration.objects.get(name="target 00042")
    saved = client.post(
        f"/checks/no-mfa/targets/{target.pk}/list", {"enabled": "on", "q": "00042"}, headers=HTMX
    )
    assert text(saved).count('class="chk-target"') == 1
    assert ">101</span>" in text(saved)
    assert "No target has this in its name." in text(client.get("/checks/no-mfa/targets?q=zzz", headers=HTMX))


def test_the_test_list_of_messages_shows_few_and_finds_the_others(many):
    client = client_of("Engineer")
    assert "9,980 more: search by name." in text(client.get("/checks/no-mfa/messages?kind=webhook"))
    found = text(client.get("/checks/no-mfa/messages/targets?kind=webhook&q=00042", headers=HTMX))
    assert re.findall(r'aria-label="Test (.*?)"', found) == ["target 00042"]
    none = text(client.get("/checks/no-mfa/messages/targets?kind=webhook&q=zzz", headers=HTMX))
    assert "No target of this kind has this in its name." in none


def test_a_target_that_is_no_option_of_a_select_is_named_in_words(many):
    client = client_of("Operator")
    page = text(client.get(f"/deliveries/?target={many.pk}"))
    assert "Target: target 00000" in page
    assert '<select name="target">' not in page
    assert 'name="target_name"' in text(client.get("/checks/"))
    data = {"slug": "mfa-bypass", "action": "add_target", "target_name": "target 00042"}
    assert client.post("/checks/bulk", data).status_code == 302
    assert Subscription.objects.filter(Q(integration__name="target 00042")).exists()
    page = text(client.post("/checks/bulk", {**data, "target_name": "target"}, follow=True))
    assert "There is no target “target”. Write its whole name." in page
