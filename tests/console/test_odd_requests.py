"""No address answers 500, whatever its parameters: each parameter that a page reads, with each odd value."""

import base64
import json
from urllib.parse import quote

import pytest
from django.contrib import admin
from django.test import Client

from tests.console.addresses import addresses, filled_world, read_names

pytestmark = pytest.mark.django_db
# As they stand in a query string. The last three: a cut UTF-8 sequence, a lone surrogate, digits of another script.
ODD = ["-1", "9" * 30, "9" * 5_000, "nan", "a%00b", "x" * 3_000, "%ff%c3", "%ED%A0%80", quote("٣²")]
PAGES = ["0", "x", "9" * 30, "9" * 5_000, "2.5", "%00", "last", quote("٣")]


def cursor(*values):
    """A place in a list as a page's address holds it."""
    return base64.urlsafe_b64encode(json.dumps([False, *values]).encode()).decode()


CURSORS = [
    cursor(),
    base64.urlsafe_b64encode(b"[" * 20_000).decode(),
    cursor("\ud800", "1"),
    cursor("\0", "1"),
    cursor("a", "9" * 30),
    cursor("a", "9" * 5_000),
]
CURSORS += [
    cursor(moment, "9" * 30) for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "nan")
]


@pytest.fixture
def client(administrator):
    client = Client(raise_request_exception=False)
    client.force_login(administrator)
    return client


def broken(client, requests, method="GET"):
    """Those that are answered 500."""
    found = []
    for path, query in requests:
        if method == "GET":
            answer = client.get(f"{path}?{query}")
        else:
            answer = client.post(path, query, content_type="application/x-www-form-urlencoded")
        if answer.status_code >= 500:
            found.append(f"{path}?{query[:80]}")
    return found


def ordinary(world):
    """The addresses whose requests change nothing in the session that the test needs."""
    left_out = ("admin:logout", "admin:login", "admin:jsi18n")
    return {name: path for name, path in addresses(world).items() if name not in left_out}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_parameter_of_a_page_breaks_it(client, monkeypatch, method):
    world, requests = filled_world(), []
    for name, path in ordinary(world).items():
        if not name.startswith("console:") or (method == "POST" and name == "console:integration-delete"):
            continue
        with read_names(monkeypatch) as names:
            client.generic(method, path)
        names -= {"csrfmiddlewaretoken"}
        requests += [
            (path, "&".join(f"{quote(one)}={value}" for one in sorted(names))) for value in ODD if names
        ]
        requests += [
            (path, f"{quote(one)}={ODD[number % len(ODD)]}") for number, one in enumerate(sorted(names))
        ]
    assert len(requests) > 100
    assert broken(client, requests, method) == []


def test_no_page_number_breaks_a_list(client):
    world = filled_world()
    lists = ["/users/", "/deliveries/", "/runs/", "/checks/no-mfa/", "/checks/no-mfa/exclusions"]
    requests = [(path, f"page={value}") for path in lists for value in [*PAGES, *CURSORS]]
    assert world["pk"]
    assert broken(client, requests) == []


def test_no_parameter_of_a_list_of_records_breaks_it(client):
    world, requests = filled_world(), []
    own = [
        "o",
        "e",
        "all",
        "_popup",
        "_to_field",
        "_facets",
        "_changelist_filters",
        "pk__in",
        "nothing",
        "id__gt",
    ]
    paths = addresses(world)
    for place, (model, options) in enumerate(admin.site._registry.items()):
        path = paths[f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"]
        filters = [one if isinstance(one, str) else one[0] for one in options.list_filter]
        names = [*own, *(f"{one}__{kind}" for one in filters for kind in ("exact", "id__exact", "in"))]
        # Each name with one odd value, which differs from list to list.
        requests += [
            (path, f"{name}={ODD[(number + place) % len(ODD)]}") for number, name in enumerate(names)
        ]
        requests += [(path, f"q={value}&p={value}") for value in ODD]
    assert len(requests) > 300
    assert broken(client, requests) == []


@pytest.mark.parametrize(
    "path", ["/admin/search/", "/admin/autocomplete/", "/admin/", "/admin/checks/", "/admin/password_change/"]
)
def test_no_parameter_of_the_admin_itself_breaks_it(client, path):
    names = ["s", "page", "extended", "term", "app_label", "model_name", "field_name", "next", "_popup"]
    requests = [(path, f"{name}={value}") for name in names for value in ODD]
    requests += [(path, f"s=check&page={value}") for value in PAGES] + [(path, "s=a&extended&page=1")]
    assert broken(client, requests) == []


def test_a_search_in_the_admin_finds_records_and_has_no_page_beyond_its_last(client):
    assert "/admin/checks/check/" in client.get("/admin/search/?s=check").content.decode()
    assert [client.get(f"/admin/search/?s=check&page={page}").status_code for page in ("1", "99", "x")] == [
        200,
        404,
        404,
    ]


def test_no_part_of_an_address_breaks_it(client):
    world = filled_world()
    numbers = {name: 7_777 for name, value in world.items() if isinstance(value, int)}
    paths = addresses({**world, **numbers, "object_id": "7777"})
    odd = ["0", str(2**63), "9" * 30, "9" * 5_000]
    texts = [*odd, "nope", "_00", "%00", "%ED%A0%80", "-1", "a%2Fb", "x" * 300]
    requests = []
    for place, (name, path) in enumerate(paths.items()):
        values = texts if name.startswith("admin:") else odd
        # The admin's addresses are many and alike: three values each, which differ from one to the next.
        chosen = (
            [values[(place + step) % len(values)] for step in (0, 3, 7)]
            if name.startswith("admin:")
            else values
        )
        requests += [(path.replace("/7777", f"/{value}"), "") for value in chosen if "/7777" in path]
    requests += [(f"/checks/{value}/", "") for value in texts] + [(f"/runs/{value}/", "") for value in texts]
    assert len(requests) > 200
    assert broken(client, requests) == []


@pytest.mark.parametrize("value", ["", *ODD[2:8]])
def test_no_sign_in_breaks_the_page(value):
    client = Client(raise_request_exception=False)
    form = f"username={value}&password={value}&next={value}"
    answers = [
        client.post("/admin/login/", form, content_type="application/x-www-form-urlencoded"),
        client.post(
            f"/admin/login/?next={value}",
            "username=a&password=b",
            content_type="application/x-www-form-urlencoded",
        ),
        client.get(f"/admin/login/?next={value}"),
        client.get(f"/checks/?search={value}"),
    ]
    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
