"""The one place where integrations change."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from integrations import services
from integrations.auth import signing
from integrations.models import Integration, SigningSecret
from integrations.target_data import InvalidDocument

pytestmark = pytest.mark.django_db

BASIC = {"type": "basic", "username": "cii", "password": "pass-word-1"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def document(**changes):
    return {"url": "https://hook.example.com/in", "authorization": BASIC, **changes}


def save(integration=None, name="soar", **changes):
    own = {key: changes.pop(key) for key in ("description", "owner_email", "limits") if key in changes}
    return services.save_integration(
        name=name, kind="webhook", document=document(**changes), integration=integration, **own
    )


def errors_of(**arguments):
    given = {"name": "soar", "kind": "webhook", "document": document(), **arguments}
    with pytest.raises(InvalidDocument) as caught:
        services.save_integration(**given)
    return caught.value.errors


def test_a_signing_secret_is_made_and_given_out_once():
    first = save()
    assert first.changed
    assert signing.key_of(first.signing_secret)
    assert services.target_of(first.integration).signing_secrets == (first.signing_secret,)
    assert save(first.integration).signing_secret is None
    assert first.signing_secret not in repr(first)


def test_a_signing_secret_of_the_owner_s_own_is_taken_and_not_given_back():
    saved = save(signing={"secret": SECRET})
    assert saved.signing_secret is None
    assert services.target_of(saved.integration).signing_secrets == (SECRET,)


def test_without_signing_no_secret_is_made():
    saved = save(signing={"enabled": False})
    assert saved.signing_secret is None
    assert not SigningSecret.objects.exists()


def test_the_same_document_twice_changes_nothing():
    given = {
        "signing": {"secret": SECRET},
        "parameters": {"header": {"X-K": {"value": "v1", "secret": True}}, "body": {"n": 1}},
        "description": "Tines",
        "limits": {"per_second": 5, "max_attempts": 10},
    }
    first = save(**given)
    before = Integration.objects.values().get(), list(SigningSecret.objects.values())
    again = save(Integration.objects.get(), **given)
    assert (first.changed, again.changed) == (True, False)
    assert (Integration.objects.values().get(), list(SigningSecret.objects.values())) == before


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://other.example.com"},
        {"authorization": BASIC | {"password": "another"}},
        {"signing": {"secret": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"}},
        {"description": "x"},
        {"owner_email": "ann@example.com"},
        {"limits": {"concurrency": 2}},
        {"name": "soar 2"},
        {"parameters": {"query": {"a": 1}}},
    ],
)
def test_any_real_change_is_one(change):
    first = save()
    assert save(first.integration, **change).changed


def test_an_edit_keeps_the_secrets_that_it_leaves_out():
    first = save(parameters={"header": {"X-K": {"value": "v1", "secret": True}, "X-L": "plain"}})
    shown = services.document_of(first.integration)
    assert "pass-word-1" not in json.dumps(shown)
    edited = services.save_integration(
        name="soar",
        kind="webhook",
        document={**shown, "method": "PUT", "authorization": {"type": "basic", "username": "new", "password": ""}},
        integration=first.integration,
    )  # fmt: skip
    target = services.target_of(Integration.objects.get())
    assert edited.changed
    assert target.settings["method"] == "PUT"
    assert target.secrets == {
        "authorization": {"password": "pass-word-1"},
        "parameters": {"header": {"X-K": "v1"}},
    }


def test_another_type_of_authorization_does_not_inherit_a_secret():
    first = save(authorization={"type": "api_key", "name": "X-K", "value": "key-1"})
    with pytest.raises(InvalidDocument) as caught:
        save(first.integration, authorization={"type": "basic", "username": "u"})
    assert caught.value.errors == {"authorization.password": "Write 1 to 512 characters."}


def test_a_secret_parameter_that_is_dropped_is_forgotten():
    first = save(parameters={"header": {"X-K": {"value": "v1", "secret": True}}})
    save(first.integration)
    assert "parameters" not in services.target_of(Integration.objects.get()).secrets


def test_a_save_leaves_what_the_dispatcher_writes_alone():
    saved = save()
    stale = Integration.objects.get()
    Integration.objects.update(consecutive_failures=7, state="disabled")
    save(stale, description="new")
    fresh = Integration.objects.get(pk=saved.integration.pk)
    assert (fresh.consecutive_failures, fresh.state, fresh.description) == (7, "disabled", "new")


@pytest.mark.parametrize("name", ["", "x" * 65, " x", "a\nb", None])
def test_a_name_has_1_to_64_characters(name):
    assert set(errors_of(name=name)) == {"name"}


def test_a_name_is_taken_in_any_case():
    save(name="Soar")
    assert errors_of(name="SOAR") == {"name": "Another integration has this name. Choose another."}
    other = save(name="other").integration
    with pytest.raises(InvalidDocument):
        save(other, name="soar")
    assert save(other, name="OTHER").integration.name == "OTHER"


def test_the_kind_stays_what_it_was():
    saved = save()
    Integration.objects.update(kind="fax")
    saved.integration.refresh_from_db()
    assert "stays (fax)" in errors_of(name="x", integration=saved.integration)["kind"]


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("kind", {"kind": "fax"}),
        ("description", {"description": "x" * 513}),
        ("owner_email", {"owner_email": "ann"}),
        ("limits.per_second", {"limits": {"per_second": 0}}),
        ("limits.concurrency", {"limits": {"concurrency": 1.5}}),
        ("limits.max_attempts", {"limits": {"max_attempts": True}}),
        ("limits.max_age_hours", {"limits": {"max_age_hours": 337}}),
        ("limits.colour", {"limits": {"colour": 1}}),
        ("url", {"document": {"authorization": BASIC}}),
    ],
)
def test_each_mistake_is_an_error_at_its_place(path, arguments):
    assert path in errors_of(**arguments)
    assert not Integration.objects.exists()


def test_a_rotation_keeps_the_old_secret_live_for_the_overlap():
    saved = save(signing={"secret": SECRET})
    new = services.rotate_signing_secret(saved.integration, overlap_hours=2)
    assert services.target_of(saved.integration).signing_secrets == (new, SECRET)
    SigningSecret.objects.filter(expires_at__isnull=False).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )
    assert services.target_of(saved.integration).signing_secrets == (new,)


def test_a_rotation_without_overlap_ends_the_old_secret_at_once():
    saved = save(signing={"secret": SECRET})
    new = services.rotate_signing_secret(saved.integration, overlap_hours=0)
    assert services.target_of(saved.integration).signing_secrets == (new,)


def test_a_second_rotation_does_not_prolong_the_first_secret():
    saved = save(signing={"secret": SECRET})
    services.rotate_signing_secret(saved.integration, overlap_hours=1)
    first_end = SigningSecret.objects.get(expires_at__isnull=False).expires_at
    services.rotate_signing_secret(saved.integration, overlap_hours=48)
    assert SigningSecret.objects.order_by("id").first().expires_at == first_end


def test_a_new_secret_in_the_document_is_a_rotation_with_a_day_of_overlap():
    saved = save(signing={"secret": SECRET})
    other = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"
    assert save(saved.integration, signing={"secret": other}).changed
    assert services.target_of(saved.integration).signing_secrets == (other, SECRET)
    assert not save(saved.integration, signing={"secret": other}).changed


@pytest.mark.parametrize("arguments", [{"overlap_hours": -1}, {"overlap_hours": 721}, {"secret": "hunter2"}])
def test_a_rotation_with_a_bad_argument_changes_nothing(arguments):
    saved = save(signing={"secret": SECRET})
    with pytest.raises(ValueError, match=r"0 to 720|whsec_"):
        services.rotate_signing_secret(saved.integration, **arguments)
    assert services.target_of(saved.integration).signing_secrets == (SECRET,)


def test_states_change_with_their_reason_and_resuming_clears_the_record():
    integration = save().integration
    services.pause(integration, "maintenance")
    integration.refresh_from_db()
    assert (integration.state, integration.state_reason) == ("paused", "maintenance")
    services.disable(integration, "410 Gone")
    Integration.objects.update(consecutive_failures=9, breaker_until=timezone.now())
    services.resume(integration)
    integration.refresh_from_db()
    assert (integration.state, integration.state_reason, integration.consecutive_failures) == (
        "active",
        "",
        0,
    )
    assert integration.breaker_until is None
    services.delete_integration(integration)
    assert not SigningSecret.objects.exists()
