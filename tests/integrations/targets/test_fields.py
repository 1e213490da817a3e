"""One declaration of fields serves validation, description and a form."""

import math

import pytest

from integrations.target_data import CleanedDocument, InvalidDocument
from integrations.targets import KINDS
from integrations.targets.shared import setting_fields
from integrations.targets.shared.setting_fields import Field

FIELDS = (
    Field(path="mode", label="Mode", widget="select", choices=(("a", "First"), ("b", "Second")), default="a"),
    Field(path="token", label="Token", secret=True, when=("mode", ("a",))),
    Field(path="name", label="Name", when=("mode", ("b",))),
    Field(path="port", label="Port", widget="number", whole=True, least=1, most=9, default=5),
    Field(path="people", label="People", widget="lines", required=False),
    Field(path="loud", label="Loud", widget="checkbox", default=False),
    Field(path="inner.note", label="Note", required=False),
    Field(path="address", label="Address", widget="url", required=False),
)


def errors(document, stored=None):
    with pytest.raises(InvalidDocument) as caught:
        setting_fields.clean_fields(FIELDS, document, stored)
    return caught.value.errors


def test_a_document_becomes_settings_and_secrets_at_the_same_paths():
    cleaned = setting_fields.clean_fields(
        FIELDS, {"token": "secret", "people": "x, y\n x", "inner": {"note": "hi"}, "address": ""}
    )
    assert cleaned.secrets == {"token": "secret"}
    assert cleaned.settings == {
        "mode": "a", "port": 5, "people": ["x", "y"], "loud": False, "inner": {"note": "hi"},
    }  # fmt: skip


def test_what_may_be_shown_names_each_secret_and_shows_none():
    cleaned = setting_fields.clean_fields(FIELDS, {"token": "secret", "people": ["x", "y"], "loud": True})
    assert setting_fields.describe_fields(FIELDS, cleaned.settings) == [
        ("Mode", "First"), ("Token", "•••"), ("Port", "5"), ("People", "x, y"), ("Loud", "yes"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [kind for slug, kind in KINDS.items() if slug not in ("webhook", "file")],
    ids=lambda kind: kind.slug,
)
def test_an_empty_document_is_asked_for_all_that_is_required(kind):
    chosen = {f.path: f.choices[0][0] for f in kind.form_fields if f.widget == "select" and f.default is None}
    with pytest.raises(InvalidDocument) as caught:
        kind.clean(chosen)
    chosen |= {f.path: f.default for f in kind.form_fields if f.default is not None}
    required = {
        f.path
        for f in kind.form_fields
        if f.required and f.default is None and f.path not in chosen
        and (f.when is None or chosen[f.when[0]] in f.when[1])
    }  # fmt: skip
    assert set(caught.value.errors) == required


@pytest.mark.parametrize("port", ["", "x", "0", "10", "5.5", "nan", "inf", True, math.nan, [5]])
def test_a_number_that_will_not_do_is_an_error_at_its_path(port):
    assert list(
        errors({"token": "secret", "port": port} if port != "" else {"token": "secret", "port": "y"})
    ) == ["port"]


def test_a_key_of_another_choice_is_refused_with_what_decides_it():
    assert "mode" in errors({"mode": "b", "name": "Ann", "token": "secret"})["token"]


def test_a_secret_of_a_choice_given_up_is_not_kept():
    stored = CleanedDocument({"mode": "a"}, {"token": "secret"})
    assert setting_fields.clean_fields(FIELDS, {"mode": "b", "name": "Ann"}, stored).secrets == {}


def test_a_stored_secret_stays_with_its_address():
    stored = setting_fields.clean_fields(FIELDS, {"token": "secret", "address": "https://a.example/x"})
    for address in ("https://b.example/x", "https://a.example/y", "https://a.example:444/x", None):
        assert "Enter it again" in errors({"mode": "a", "address": address}, stored)["token"]
    same = setting_fields.clean_fields(FIELDS, {"mode": "a", "address": "https://A.example/x"}, stored)
    assert same.secrets == {"token": "secret"}


@pytest.mark.parametrize(
    "url", ["http://example.com", "ftp://example.com", "https://a@example.com", "//example.com"]
)
def test_an_address_to_which_secrets_go_is_https(url):
    assert list(errors({"token": "secret", "address": url})) == ["address"]


def test_an_address_on_this_machine_may_be_http():
    assert setting_fields.cleartext_problem("http://127.0.0.1:8000/x") is None
    assert setting_fields.cleartext_problem("http://127.0.0.1.example.com/x") is not None


def test_an_unknown_key_is_named_with_those_that_exist():
    found = errors({"token": "secret", "inner": {"not": 1}, "colour": "red"})
    assert set(found) == {"inner.not", "colour"}
    assert "note" in found["inner.not"]
