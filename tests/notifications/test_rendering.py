"""The bytes of every batch: the contract's JSON around items that are encoded once."""

import json
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from uuid import uuid4

import pytest
from hypothesis import given, strategies as st

from integrations.targets import KINDS
from notifications.rendering import templates
from notifications.rendering.batch import Destination, DirectMessage, ItemFile, ListBatch, StoredEvent
from notifications.rendering.payloads import BatchPosition, CheckEvent, CheckText, Item, Recipient, Tenant
from notifications.rendering.render import NotRendered, render
from tests.examples import examples
from tests.integrations.targets import events

# Markup, placeholders of every kind, what JSON escapes, other scripts, nothing at all.
HOSTILE = st.sampled_from(
    [
        "",
        " ",
        "%",
        "%(login)s",
        "%%",
        "{{ 7 }}",
        "{% if %}",
        '"',
        "\\",
        "\n",
        "<b>",
        "é",
        "\u2028",
        "😀",
        "\u202e",
        "@here",
    ]
)
# No stored text holds NUL: the import and every form refuse it.
TEXT = st.lists(
    HOSTILE | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    max_size=4,
).map("".join)
TEMPLATES = st.lists(
    st.sampled_from(
        [
            "{{ user.login }}",
            "{{ user.display_name | default: user.login }}",
            '{{ recipient.display_name | default: "you" }}',
            "{{ recipient.email }}{{ recipient.kind }}{{ user.trust_level }}",
            "{%- for action in check.recommended_actions -%} - {{ action }} {% endfor %}",
            "{% if check.severity == 'critical' %}100 %{% endif %}{{ link }}",
            "{{ check.title | upcase }} %(x)s ",
            "{{ user.details.createdAt }}",
            "{{ user.login | upcase }}",
            "{% if user.display_name %}named{% endif %}",
            "{{ user.nothing }}",
            "{{ user.login.size }}",
            '{{ ["user.login"] }}{{ user["login"] }}',
            "{% assign user = check %}",
            "{% cycle 'a', 'b' %}",
            "{% for tag in check.tags limit: 1 %}{{ tag }}{% endfor %}{% for tag in check.tags offset: continue %}{{ tag }}{% endfor %}",
            "{{ 1 | divided_by: 0 }}",
            "{% break %}",
        ]
    ),
    max_size=5,
).map(" ".join)

USERS = st.builds(
    lambda login, details: {"login": login, "details": details},
    TEXT,
    st.lists(st.fixed_dictionaries({"key": TEXT, "value": TEXT.map(json.dumps)}), max_size=3),
)
CHECK = CheckText(
    "no-mfa",
    "No MFA Configured",
    "critical",
    ["A password alone."],
    ["Enrol a factor.", "50 %"],
    ["pci", "50 %"],
)
PARAMETERS = {"team": 'blue "50 %" %(id)s'}


def event(**options):
    return CheckEvent(uuid4(), Tenant(str(uuid4())), CHECK, datetime(2026, 1, 31, 6, tzinfo=UTC), **options)


def destination(slug="webhook", audience="list", template=None, **document):
    document = {
        "webhook": {
            "url": "http://127.0.0.1:9/hook",
            "authorization": {"type": "basic", "username": "a", "password": "b"},
        },
        "file": {"destination": "stdout"},
    }[slug] | document
    kind = KINDS[slug]
    parsed = templates.parse(template) if template is not None else None
    return Destination(kind, events.target(kind, document), audience, parsed, "")


def as_json(value):
    """The reference: the standard library's JSON of the event as plain data."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def plain(to, batch, message):
    """The envelope with its items decoded."""
    envelope = batch.envelope(to, message)
    items = [Item(item["login"], as_json(item)).plain if isinstance(item, dict) else json.loads(item)
             for item in envelope["detail"]["loginDetails"]]  # fmt: skip
    return envelope | {"detail": envelope["detail"] | {"loginDetails": items}}


@examples(100)
@given(users=st.lists(USERS, max_size=3), is_resolved=st.booleans(), template=st.none() | TEMPLATES)
@pytest.mark.parametrize("slug", ["webhook", "file"])
def test_a_list_is_the_contracts_json(slug, users, is_resolved, template):
    to = destination(slug, template=template)
    batch = ListBatch(
        uuid4(), event(is_resolved=is_resolved), [Item.of(user) for user in users], BatchPosition(2, 3, 9)
    )
    made = render(to, batch)
    message, error = batch.message(to)
    assert made.rendered.body == as_json(plain(to, batch, message))
    assert made.message_error == error
    detail = json.loads(made.rendered.body)["detail"]
    assert detail["loginDetails"] == users
    assert detail["usersResolved" if is_resolved else "usersFailing"] == [user["login"] for user in users]


@examples(100)
@given(
    user=USERS,
    name=TEXT,
    recipient=st.builds(Recipient, st.sampled_from(["user", "manager"]), TEXT, TEXT, TEXT),
    template=st.none() | TEMPLATES,
)
def test_a_direct_message_is_the_contracts_json_with_the_body_parameters(user, name, recipient, template):
    to = destination(audience=recipient.kind, template=template, parameters={"body": PARAMETERS})
    batch = DirectMessage(uuid4(), event(), Item.of(user), name, "UNTRUSTED", recipient)
    made = render(to, batch)
    message, error = batch.message(to)
    assert made.rendered.body == as_json(plain(to, batch, message) | PARAMETERS)
    assert made.message_error == error
    assert json.loads(made.rendered.body)["detail"]["message"] == message


@examples(50)
@given(st.lists(USERS, max_size=20), st.integers(1, 7))
def test_the_users_of_a_list_are_read_back_as_they_were_added(users, size):
    with SpooledTemporaryFile() as file:
        stored = ItemFile(file)
        items = [Item.of(user, f"Name {number}", number) for number, user in enumerate(users)]
        stored.add(items, range(len(users)))
        ranges = [range(start, min(start + size, len(users))) for start in range(0, len(users), size)]
        for _ in range(2):
            batches = list(stored.batches(ranges))
            assert [len(batch) for batch in batches] == [len(cut) for cut in ranges]
            assert [item for batch in batches for item in batch] == items
            assert [item.plain for item in items] == users


@examples(50)
@given(st.lists(USERS, max_size=5))
def test_the_sizes_that_decide_where_to_cut_are_those_of_the_body(users):
    to, items = destination(), [Item.of(user) for user in users]
    with SpooledTemporaryFile() as file:
        stored = ItemFile(file)
        stored.add(items, range(len(items)))
        empty, full = (
            render(to, ListBatch(uuid4(), event(), part, BatchPosition(1, 1, 5))).rendered.body
            for part in ([], items)
        )
        # The first user of a list needs no comma, in each of the two lists.
        assert len(full) == len(empty) + sum(stored.sizes) - (2 if users else 0)


def test_a_body_template_reads_the_items_as_data():
    to = destination(
        body={
            "template": '{"who": {{ users | map: "login" | json }}, "why": {{ detail.loginDetails | json }}}'
        }
    )
    user = events.user("kim@example.com", lastSignIn="2026-01-01T00:00:00Z")
    body = render(to, ListBatch(uuid4(), event(), [Item.of(user)], BatchPosition())).rendered.body
    assert json.loads(body) == {"who": ["kim@example.com"], "why": [user]}


def test_an_event_that_could_not_be_rendered_is_kept_and_rendered_later():
    bad = destination(audience="user")
    bad.target.settings["body"] = {"template": "oops"}
    batch = DirectMessage(
        uuid4(), event(), Item.of(events.user("kim")), "Kim", "UNKNOWN", Recipient("user", "kim", "", "")
    )
    with pytest.raises(NotRendered, match="The template renders no valid JSON") as caught:
        render(bad, batch)
    good = destination(audience="user")
    kept = StoredEvent(batch.id, json.loads(caught.value.event))
    assert render(good, kept).rendered == render(good, batch).rendered
