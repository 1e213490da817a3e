"""Push tokens: made, rotated, given, ended, and recorded in the audit trail."""

from datetime import timedelta

import pytest
from django.utils import timezone

from cii_project.audit.models import AuditEntry
from integrations.models import PushToken
from integrations.services import InvalidDocument, live_push_tokens, rotate_push_token
from tests.scim.worlds import Sender

pytestmark = pytest.mark.django_db


def status(sender: Sender, token: str) -> int:
    return Sender(sender.connection, token).get("Users").status_code


def test_two_tokens_are_valid_during_a_rotation(sender):
    second = rotate_push_token(sender.connection)
    assert (status(sender, sender.token), status(sender, second)) == (200, 200)
    third = rotate_push_token(sender.connection)
    assert [status(sender, each) for each in (sender.token, second, third)] == [401, 200, 200]
    PushToken.objects.exclude(expires_at=None).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert [status(sender, each) for each in (second, third)] == [401, 200]


def test_a_rotation_can_end_the_old_token_at_once(sender):
    second = rotate_push_token(sender.connection, overlap_hours=0)
    assert (status(sender, sender.token), status(sender, second)) == (401, 200)
    with pytest.raises(ValueError, match="0 to 720"):
        rotate_push_token(sender.connection, overlap_hours=721)


def test_a_given_token_is_taken_once(sender):
    given = "a-token-of-the-vault-0123456789-0123456789"
    assert rotate_push_token(sender.connection, given=given) == given
    before = [each.pk for each in live_push_tokens(sender.connection)]
    rotate_push_token(sender.connection, given=given)
    assert [each.pk for each in live_push_tokens(sender.connection)] == before
    assert status(sender, given) == 200


@pytest.mark.parametrize("given", ["short", "x" * 513, "ä" * 40, "with space " * 4, "\0" * 40])
def test_a_token_that_is_refused(sender, given):
    with pytest.raises(InvalidDocument):
        rotate_push_token(sender.connection, given=given)


def test_the_audit_trail_names_the_change_and_no_token(sender):
    second = rotate_push_token(sender.connection)
    texts = list(AuditEntry.objects.filter(object_label="push").order_by("id").values_list("text", flat=True))
    assert texts[-2:] == [
        "Push token made.",
        "New push token; the one before stays valid for 24 hours at most.",
    ]
    trail = str(list(AuditEntry.objects.values()))
    assert sender.token not in trail
    assert second not in trail


def test_the_last_use_is_noted(sender):
    assert PushToken.objects.get().last_used_at is None
    sender.get("Users")
    assert PushToken.objects.get().last_used_at is not None
