"""What each check says to users, managers and lists: complete, and in words for people outside security."""

import re
from dataclasses import asdict

import pytest
from django.conf import settings

from checks.catalogue import CATALOGUE
from checks.engine.explanations import audience_texts, recommended_actions
from checks.models import Check
from checks.services import sync_catalogue

# What only an administrator understands or can do, and what blames.
JARGON = re.compile(
    r"\b(MFA|2FA|factors?|enrol\w*|credentials?|phishing\S*|tokens?|provision\w*|deprovision\w*|polic(y|ies)|findings?|exclu\w+"
    r"|checks?|identity providers?|non-human|NHI|FIDO2?|WebAuthn|SIM|authenticate\w*|privileged?|compliance|audit\w*"
    r"|fail(s|ed|ure)?|violat\w+|must|fault|negligen\w+|wrongdoing|remediat\w+|turn this|the user)\b",
    re.IGNORECASE,
)
SLUGS = list(CATALOGUE)


@pytest.fixture
def texts(db):
    sync_catalogue()

    def of(slug, **changes):
        check = Check.objects.get(slug=slug)
        check.settings = changes
        return {audience: asdict(text) for audience, text in audience_texts(check).items()}

    return of


@pytest.mark.parametrize("slug", SLUGS)
def test_every_check_has_all_texts_of_every_audience(texts, slug):
    found = texts(slug)
    assert set(found) == {"user", "manager", "list"}
    user, manager, many = found["user"], found["manager"], found["list"]
    assert user["why"].endswith(".")
    assert 1 <= user["due_days"] <= 90
    assert user["contact"]
    assert not manager["why"]
    assert not many["why"]
    assert user["subject"] == manager["subject"]
    assert 1 <= len(user["subject"].split()) <= 12
    assert not user["subject"].endswith(".")
    for text in (user, manager, many):
        assert text["found"].endswith(".")
        assert text["actions"]
        assert all(action.endswith(".") for action in text["actions"])
    assert many["actions"] == recommended_actions(Check.objects.get(slug=slug))


@pytest.mark.parametrize("slug", SLUGS)
def test_users_and_managers_read_plain_words_without_blame(texts, slug):
    for audience in ("user", "manager"):
        text = texts(slug)[audience]
        for sentence in (text["subject"], text["found"], text.get("why", ""), *text["actions"]):
            assert not (found := JARGON.search(sentence)), f"{audience}: “{found[0]}” in “{sentence}”"


@pytest.mark.parametrize("slug", SLUGS)
def test_users_and_managers_read_short_texts_of_their_own(texts, slug):
    actions = set(recommended_actions(Check.objects.get(slug=slug)))
    for audience in ("user", "manager"):
        text = texts(slug)[audience]
        assert not actions & set(text["actions"])
        assert 1 <= len(text["actions"]) <= 4
        sentences = re.split(r"(?<=[.?]) ", " ".join([text["found"], text.get("why", ""), *text["actions"]]))
        assert max(len(sentence.split()) for sentence in sentences) <= 26


@pytest.mark.parametrize("slug", SLUGS)
def test_settings_stand_in_the_texts_by_their_value(texts, slug):
    assert "{{" not in str(texts(slug))


def test_a_changed_setting_changes_the_text(texts):
    assert "more than 45 days" in texts("inactive-user", idle_days=45)["user"]["found"]


def test_the_texts_of_the_documentation_pass_for_an_example():
    page = (settings.BASE_DIR / "docs" / "recipes.md").read_text(encoding="utf-8")
    example = page.partition("texts = AudienceTexts(")[2].partition("list=")[0]
    assert example
    assert not JARGON.search(example)
