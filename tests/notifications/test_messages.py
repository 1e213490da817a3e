"""Liquid for untrusted authors: errors say where, and nothing grows or lasts without bound."""

import time
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from notifications.rendering import templates
from notifications.rendering.templates import MessageError
from tests.examples import examples


def error_of(text, audience="list"):
    with pytest.raises(MessageError) as caught:
        templates.check(text, audience)
    return caught.value


@pytest.mark.parametrize("audience", ["list", "user", "manager"])
def test_the_defaults_are_sound(audience):
    assert templates.check(templates.DEFAULTS[audience], audience)


@pytest.mark.parametrize("audience", ["list", "user", "manager"])
def test_every_variable_of_the_list_exists(audience):
    for variable in templates.VARIABLES:
        if audience in variable.audiences:
            templates.check("{{ NAME }}".replace("NAME", variable.name), audience)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{{ nope }}", 1, 4),
        ("Hello\n  {{ check.titel }}", 2, 6),
        ("{% if %}", 1, 4),
        ("a {{ 'x' | shout }}", 1, 12),
        ("\n{% for user in users %}{{ user.name }}{% endfor %}", 2, 27),
        ("{% include 'other' %}", 1, 4),
        ("one\ntwo {% for user in users %}x", 2, 29),
    ],
)
def test_an_error_says_where(text, line, column):
    error = error_of(text)
    assert (error.line, error.column) == (line, column), str(error)


def test_an_unknown_variable_names_the_known_ones():
    assert "check.title" in error_of("{{ check.titel }}").message


def test_a_variable_of_another_audience_is_unknown():
    error_of("{{ recipient.email }}", "list")
    assert templates.check("{{ recipient.email }}", "user") == "kim@example.com"


def test_a_detail_that_a_user_lacks_is_empty():
    assert templates.check("{% for user in users %}[{{ user.details.phone }}]{% endfor %}", "list") == "[]"


def test_unknown_variables_are_empty_when_a_message_is_sent():
    assert templates.render(templates.parse("a{{ nope.more }}b"), {}) == "ab"


@pytest.mark.parametrize(
    "bomb",
    [
        "{% for i in (1..100000000) %}x{% endfor %}",
        "{% for a in (1..999) %}{% for b in (1..999) %}{% for c in (1..999) %}{% endfor %}{% endfor %}{% endfor %}",
        "{{ (1..1000000000) | join }}",
        "{% assign a = 'aaaaaaaaaa' %}" + "{% assign a = a | replace: 'a', a %}" * 9 + "{{ a }}",
        "{% assign x = 9999999999 %}{% for i in (1..300) %}{% assign x = x | times: x %}{% endfor %}",
        "{% assign a = 'a,b' | split: ',' %}{% for i in (1..60) %}{% assign a = a | concat: a %}{% endfor %}",
        "{% if true %}" * 200 + "{% endif %}" * 200,
        "{% for i in (1..20000) %}{{ 'abcdefghij' }}{% endfor %}",
        "x" * 20_000,
        "{% tablerow i in (1..100000000) %}x{% endtablerow %}",
        "{% assign a = 'x' %}{% for i in (1..60) %}{% assign a = a | append: a %}{% endfor %}",
    ],
)
def test_no_template_takes_long_or_grows_large(bomb):
    began = time.monotonic()
    error_of(bomb)
    assert time.monotonic() - began < 5


def test_markup_is_passed_on_as_it_is():
    template = templates.parse("{{ users[0].login }}")
    data = {"users": [{"login": "<script>{{ 1 | plus: 1 }}</script>"}]}
    assert templates.render(template, data) == "<script>{{ 1 | plus: 1 }}</script>"


@examples(300)
@given(st.text(alphabet="{}%|'\" ab.:()[]1,\n-if", max_size=80))
def test_any_text_renders_or_says_what_is_wrong(text):
    with suppress(MessageError):  # and nothing else
        templates.check(text, "list")
