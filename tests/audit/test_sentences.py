"""The audit trail's list reads as sentences, whatever an entry holds."""

import pytest
from django.utils import timezone

from cii_project.audit.models import Action, ActorKind, AuditEntry
from cii_project.audit.sentences import sentence


def entry(**values):
    return AuditEntry(**{"at": timezone.now(), "actor_kind": "member", "actor": "ann", **values})


SOAR = {"object_kind": "integrations.integration", "object_id": "1", "object_label": "soar"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"action": "add", "text": "Added.", **SOAR}, "ann added the target “soar”."),
        ({"action": "delete", "text": "Deleted.", **SOAR}, "ann deleted the target “soar”."),
        (
            {"action": "change", "text": "Changed url, description.", **SOAR},
            "ann changed url, description of the target “soar”.",
        ),
        ({"action": "change", "text": "Paused.", **SOAR}, "ann, the target “soar”: Paused."),
        (
            {"action": "act", "text": "Started.", "object_kind": "checks.run", "object_label": "r1"},
            "ann, the run “r1”: Started.",
        ),
        ({"action": "sign-in", "text": "Signed in."}, "ann signed in."),
        (
            {"action": "sign-in-failed", "actor_kind": "visitor", "text": "Wrong username or password."},
            "ann failed to sign in: Wrong username or password.",
        ),
        (
            {"action": "command", "actor_kind": "command", "actor": "root", "text": "manage.py setup."},
            "root (command line): manage.py setup.",
        ),
        (
            {"action": "change", "actor_kind": "system", "actor": "", "text": "Disabled.", **SOAR},
            "The system, the target “soar”: Disabled.",
        ),
        (
            {"action": "add", "text": "Added.", "object_kind": "gone.model", "object_label": "x"},
            "ann added the gone.model “x”.",
        ),
        ({"action": "export", "text": "", "object_kind": "checks.check"}, "ann: export of the check."),
    ],
)
def test_an_entry_reads_as_a_sentence(values, words):
    assert sentence(entry(**values)) == words


@pytest.mark.parametrize("action", Action.values)
@pytest.mark.parametrize("kind", ActorKind.values)
def test_every_action_of_every_kind_of_actor_is_a_sentence(action, kind):
    found = sentence(entry(action=action, actor_kind=kind, actor="", text="Something."))
    assert found.endswith(".")
    assert not found.endswith("..")
    assert found[0].isupper()
