"""What is made once and filled in gives the very bytes of what is composed in full."""

from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from checks.models import Check, User
from checks.services import sync_catalogue
from integrations.services import save_integration
from notifications import composing, lists, messages, payloads
from notifications.models import Configuration, Event
from notifications.moulds import DirectMould, Item, ListMould
from notifications.prepared import prepare

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
TEXT = st.lists(HOSTILE | st.text(st.characters(blacklist_categories=["Cs"]), max_size=5), max_size=4).map(
    "".join
)
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
DETAILS = st.lists(
    st.fixed_dictionaries({"key": TEXT, "value": TEXT.map(composing.messages.json.dumps)}), max_size=3
)

PARAMETERS = {"parameters": {"body": {"team": 'blue "50 %" %(id)s'}}}


class Moulds(TestCase):
    def setUp(self):
        sync_catalogue()
        self.check = Check.objects.get(slug="no-mfa")
        self.check.tags = ["pci", "50 %"]

    def parts(self, audience, origin="run", template=None, **document):
        event = Event(origin=origin, check_ref=self.check, created_at=timezone.now())
        target = save_integration(
            name=uuid4().hex[:8],
            kind="webhook",
            document={
                "url": "http://127.0.0.1:9/hook",
                "authorization": {"type": "basic", "username": "a", "password": "b"},
                **document,
            },
        ).integration
        on = composing.occasion(event, self.check)
        return on, composing.destination(target, audience, self.check, template_text=template)

    @settings(max_examples=150)
    @given(st.data())
    def test_direct_messages(self, data):
        draw = data.draw
        Configuration.objects.update(base_url=draw(st.sampled_from(["", "https://cii.example.com/100%25"])))
        template = draw(st.none() | TEMPLATES)
        audience = draw(st.sampled_from(["user", "manager"]))
        document = draw(st.sampled_from([{}, PARAMETERS]))
        on, to = self.parts(audience, template=template, **document)
        mould = DirectMould(on, to)
        for _ in range(2):
            user = User(name=draw(TEXT), display_name=draw(TEXT), email=draw(TEXT))
            recipient = payloads.Recipient(audience, draw(TEXT), draw(TEXT), draw(TEXT))
            detail = {"login": user.name, "details": draw(DETAILS)}
            given_ = (user, detail, "UNTRUSTED", recipient)
            id = uuid4()
            plain = composing.direct_body(on, to, id, *given_)
            assert mould.make(id, user, Item.of(detail), "UNTRUSTED", recipient) == plain

    @settings(max_examples=50)
    @given(st.data())
    def test_lists(self, data):
        draw = data.draw
        on, to = self.parts("list", draw(st.sampled_from(["run", "resolved"])))
        mould = ListMould(on, to)
        users = [{"login": draw(TEXT), "details": draw(DETAILS)} for _ in range(draw(st.integers(0, 3)))]
        with lists.SpooledTemporaryFile() as file:
            spool = lists.Spool(file)
            spool.add(
                [Item.of(user) for user in [{"login": "first", "details": []}, *users]], range(1 + len(users))
            )
            these = range(1, 1 + len(users))
            assert spool.read(these) == users
            lines = spool.lines(these)
            id, batch = uuid4(), payloads.Batch(2, 3, 1000)
            assert mould.fits
            made = mould.make(id, lines, spool.logins_of(these, lines), batch)
            assert made == composing.list_body(on, to, id, users, batch)

    def test_a_list_with_a_message_or_a_body_of_its_own_is_composed_in_full(self):
        assert not ListMould(*self.parts("list", template="{{ total }}")).fits
        assert not ListMould(*self.parts("list", body={"template": "{}"})).fits
        assert ListMould(*self.parts("list", "resolved", template="{{ total }}")).fits

    def test_a_body_of_its_own_goes_into_direct_messages_too(self):
        on, to = self.parts("user", body={"template": '{"who": {{ detail.login | json }}}'})
        user = User(name="kim")
        item = Item.of({"login": "kim", "details": []})
        made = DirectMould(on, to).make(
            uuid4(), user, item, "UNKNOWN", payloads.Recipient("user", "", "", "")
        )
        assert made.rendered.body == b'{"who":"kim"}'


@pytest.mark.parametrize("audience", ["user", "manager"])
def test_the_default_message_needs_no_liquid_for_each_person(audience):
    shared = {"check": messages.sample(audience)["check"], "link": "", "published": ""}
    made = prepare(messages.default(audience), shared)
    assert made
    assert "Enrol a second factor." in made.format


@pytest.mark.parametrize(
    "text",
    [
        "{{ user.details.createdAt }}",
        "{% cycle 'a', 'b' %}",
        "{{ user.login | upcase }}",
        "{% assign link = 1 %}",
    ],
)
def test_a_message_that_computes_is_left_to_liquid(text):
    assert prepare(messages.parse(text), {"link": ""}) is None


def test_what_may_pass_the_limit_of_a_message_is_left_to_liquid():
    made = prepare(messages.parse("{{ user.login }}" * 100), {})
    assert made
    values = dict.fromkeys(("user.login",), "k" * 200)
    assert made.render(values) is None
