"""The audit trail's writer: who, where from, what, before and after; and nothing that a database refuses."""

import pytest

from checks.models import Source
from cii_project.audit.models import AuditEntry
from cii_project.audit.services import Action, Actor, ActorKind, acting, changes, current_actor, record

pytestmark = pytest.mark.django_db
ANN = Actor(ActorKind.MEMBER, "ann", "203.0.113.9", "7")


def test_an_entry_says_who_did_what_to_what_and_outlives_both():
    source = Source.objects.create(slug="okta", name="Okta", provider="OKTA")
    with acting(ANN):
        record(Action.CHANGE, source, "Renamed.", before={"name": "Old"}, after={"name": "Okta"})
    key = str(source.pk)
    source.delete()
    entry = AuditEntry.objects.get()
    assert (entry.actor_kind, entry.actor, entry.actor_id, entry.address) == (
        "member",
        "ann",
        "7",
        "203.0.113.9",
    )
    assert (entry.object_kind, entry.object_id, entry.object_label) == ("checks.source", key, "Okta")
    assert (entry.before, entry.after) == ({"name": "Old"}, {"name": "Okta"})


def test_the_actor_is_the_innermost_one_and_the_system_outside():
    assert current_actor().kind == ActorKind.SYSTEM
    with acting(ANN):
        with acting(lambda: Actor(ActorKind.COMMAND, "root", "host")):
            assert current_actor().name == "root"
        assert current_actor() == ANN
    assert current_actor().kind == ActorKind.SYSTEM


@pytest.mark.parametrize("text", ["nul \0 byte", "lone \ud800 surrogate"])
def test_what_a_database_refuses_is_made_storable(text):
    record(
        Action.ACT,
        None,
        text,
        before={text: [text, float("nan")]},
        actor=Actor(ActorKind.VISITOR, text, text),
    )
    entry = AuditEntry.objects.get()
    (shown,) = entry.before
    assert entry.text == entry.actor == entry.address == shown == entry.before[shown][0]
    assert "\0" not in shown
    assert entry.before[shown][1] == "nan"


def test_long_texts_and_lists_are_cut():
    record(Action.ACT, None, "x" * 5_000, after={"logins": ["y" * 5_000] * 500})
    entry = AuditEntry.objects.get()
    assert len(entry.text) == 1_000
    assert len(entry.after["logins"]) == 200
    assert len(entry.after["logins"][0]) == 1_000


def test_changes_hold_only_what_differs():
    assert changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ({"b": 2, "c": None}, {"b": 3, "c": 4})
