"""Secrets at rest."""

import pytest
from cryptography.fernet import Fernet, MultiFernet
from django.core.exceptions import ImproperlyConfigured

from integrations.auth import sealing
from integrations.models import Integration, OAuthToken, SigningSecret

OLD, SECOND, NEW = (Fernet.generate_key().decode() for _ in range(3))


def test_what_is_sealed_can_be_opened_and_not_read(settings):
    settings.FIELD_KEYS = [OLD]
    sealed = sealing.seal({"authorization": {"password": "hunter2-ü"}})
    assert "hunter2" not in sealed
    assert sealing.unseal(sealed) == {"authorization": {"password": "hunter2-ü"}}
    assert sealing.unseal(sealing.seal("text")) == "text"
    assert sealing.unseal("") == {}


def test_the_first_key_seals_and_every_key_opens(settings):
    settings.FIELD_KEYS = [OLD]
    before = sealing.seal("kept")
    settings.FIELD_KEYS = [NEW, OLD]
    assert sealing.unseal(before) == "kept"
    after = sealing.seal("fresh")
    settings.FIELD_KEYS = [NEW]
    assert sealing.unseal(after) == "fresh"


def test_a_missing_key_is_named_with_what_to_do(settings):
    settings.FIELD_KEYS = [OLD]
    sealed = sealing.seal("kept")
    settings.FIELD_KEYS = [NEW]
    with pytest.raises(sealing.UnsealError, match=r"FIELD_KEYS\. Add the key that sealed it"):
        sealing.unseal(sealed)


@pytest.mark.parametrize(("keys", "said"), [([], "FIELD_KEYS is empty"), (["not-a-key"], "not a Fernet key")])
def test_without_a_usable_key_nothing_is_sealed(settings, keys, said):
    settings.FIELD_KEYS = keys
    with pytest.raises(ImproperlyConfigured, match=said) as caught:
        sealing.seal("x")
    assert "not-a-key" not in str(caught.value)


@pytest.mark.django_db
def test_rotation_re_seals_every_sealed_column(settings):
    settings.FIELD_KEYS = [OLD]
    target = Integration.objects.create(name="a", kind="webhook", sealed=sealing.seal({"a": "1"}))
    SigningSecret.objects.create(integration=target, sealed=sealing.seal("whsec_x"))
    OAuthToken.objects.create(integration=target, sealed=sealing.seal({"token": "t"}))
    Integration.objects.create(name="nothing sealed", kind="webhook")
    settings.FIELD_KEYS = [NEW, OLD]
    assert sealing.rotate_keys() == 3
    settings.FIELD_KEYS = [NEW]
    target.refresh_from_db()
    assert sealing.unseal(target.sealed) == {"a": "1"}
    assert sealing.unseal(target.signing_secrets.get().sealed) == "whsec_x"
    assert sealing.unseal(target.oauth_token.sealed) == {"token": "t"}


@pytest.mark.django_db
def test_rotation_names_what_no_key_opens_and_seals_the_rest(settings):
    settings.FIELD_KEYS = [OLD]
    Integration.objects.create(name="soar", kind="webhook", sealed=sealing.seal({"a": "1"}))
    settings.FIELD_KEYS = [SECOND]
    kept = Integration.objects.create(name="siem", kind="webhook", sealed=sealing.seal({"a": "2"}))
    settings.FIELD_KEYS = [NEW, SECOND]
    with pytest.raises(
        sealing.UnsealError, match=r"1 secrets are sealed .* but integration soar cannot be opened"
    ):
        sealing.rotate_keys()
    settings.FIELD_KEYS = [NEW]
    kept.refresh_from_db()
    assert sealing.unseal(kept.sealed) == {"a": "2"}


@pytest.mark.django_db
def test_rotation_leaves_a_secret_that_is_saved_meanwhile(settings, monkeypatch):
    settings.FIELD_KEYS = [OLD]
    target = Integration.objects.create(name="a", kind="webhook", sealed=sealing.seal({"a": "before"}))
    settings.FIELD_KEYS = [NEW, OLD]
    rotate = MultiFernet.rotate

    def rotate_while_somebody_saves(fernet, sealed, *rest):
        Integration.objects.filter(pk=target.pk).update(sealed=sealing.seal({"a": "newer"}))
        return rotate(fernet, sealed, *rest)

    monkeypatch.setattr(MultiFernet, "rotate", rotate_while_somebody_saves)
    assert sealing.rotate_keys() == 0
    target.refresh_from_db()
    assert sealing.unseal(target.sealed) == {"a": "newer"}
