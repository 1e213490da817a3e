"""No template takes long or grows large, where it renders in a worker too: each way that was found to try."""

import time
import tracemalloc

import pytest

from integrations.templating import liquid
from integrations.templating.liquid import TemplateError
from integrations.templating.markdown import active
from tests.integrations.hostile_templates import template
from tests.integrations.test_template_process import SEARCH

DATA = {"users": [{"login": f"user{n}@example.com", "details": {"a": "b"}} for n in range(100)], "total": 100}
S = "{% assign s = 'ab' %}" + "{% assign s = s | append: s %}" * 16
LIST = "{% assign l = 'a,b' | split: ',' %}" + "{% assign l = l | concat: l %}" * 14
LONG_ITEMS = "{% assign s = s | split: '§' %}" + "{% assign s = s | concat: s %}" * 12


def outcome(source, environment=liquid.LENIENT):
    """The error, if any, and the seconds of this thread that it took."""
    began, error = time.thread_time(), ""
    try:
        liquid.render_template(liquid.parse_template(source, environment), DATA)
    except TemplateError as problem:
        error = problem.message
    return error, time.thread_time() - began


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (S + "{% for i in (1..30000) %}" + SEARCH + "{% endfor %}", "takes longer"),
        (LIST + LIST.replace("assign l", "assign m").replace("= l |", "= m |").replace(": l", ": m") + "{% for i in (1..30000) %}{% if " + "l == m and " * 9 + "l == m %}{% endif %}{% endfor %}", "takes longer"),
        (S + "{% assign s = s | append: s %}" * 2, "A value grows beyond"),
        (LIST + "{% assign l = l | concat: l %}" * 3, "namespace limit|grows beyond"),
        (S + LONG_ITEMS, "A list grows beyond"),
        (S + "{{ s | replace: 'a', s }}", "A value grows beyond"),
        ("{% assign n = 7 %}" + "{% assign n = n | times: n %}" * 40, "A number grows beyond 300 digits"),
        ("{% for i in (1..40000) %}{% endfor %}" * 3, "The loops take more than 50,000 turns together"),
        ("{% for i in (1..300) %}{% for j in (1..300) %}{% endfor %}{% endfor %}", "loop iteration limit"),
        ("{% tablerow i in (1..40000) %}{% endtablerow %}" * 3, "turns together|output stream limit"),
        ("{% if (1..99999999999) contains 'x' %}{% endif %}", "is allowed in a loop only"),
        ("{% assign r = (1..99999999999) %}{% if r contains 'x' %}{% endif %}", "is allowed in a loop only"),
        ("{{ (1..99999999999) | join }}", "is allowed in a loop only"),
        ("{% for i in l limit: (1..9) %}{% endfor %}", "is allowed in a loop only|expected"),
        ("{% assign l = '<!' %}" + "{% assign l = l | append: l %}" * 14 + "{{ l | strip_html }}", "strip_html takes at most"),
        ("{% for u in users %}{% endfor %}" + LIST + "{{ l | uniq: 'a' }}", "uniq takes at most"),
        (S + "{{ s | date: '%Y' }}", "date takes at most"),
        ("{{ '" + "9" * 5_000 + "' | plus: 1 }}", "."),
        ("{{" * 8_000, "never closed"),
        ("{{" + " " * 16_000, "blanks in a row"),
        ("{%#" + " " * 16_000 + "%}", "blanks in a row"),
        ("{% raw %}" * 1_800, "."),
        ("{{ a" + "[a" * 5_000 + " }}", "."),
        ("{{ '\0' }}", "holds NUL"),
        ("\ud800", "half a surrogate pair"),
    ],
)  # fmt: skip
def test_it_is_refused_in_time(source, problem):
    error, seconds = outcome(source)
    assert pytest.approx(0, abs=2.3) == seconds
    assert error
    assert any(part in error for part in problem.split("|"))


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..5) %}{{ i }}{% endfor %}",
        "{% for user in users limit: 3 offset: 1 reversed %}{{ user.login }}{% endfor %}",
        "{% tablerow user in users cols: 2 %}{{ user.login }}{% endtablerow %}",
        "{{ users | map: 'login' | uniq | sort | join: ', ' }}",
        "{{ users | concat: users | size }}",
        "{{ users | json }}",
        "{% assign n = 5 %}{% for i in (1..n) %}{{ forloop.index }}{% endfor %}",
        "{{ '<b>x</b>' | strip_html }}{{ '2026-01-02' | date: '%d.%m.%Y' }}",
        "a {{ total }} }} b {{ total }}",
    ],
)
def test_what_is_ordinary_renders(source):
    assert outcome(source)[0] == ""


def test_many_texts_are_made_unique_in_no_time():
    source = "{% capture s %}{% for i in (1..5000) %}{{ i }},{{ i }},{% endfor %}{% endcapture %}{{ s | split: ',' | uniq | size }}"
    assert active(liquid.render_template(liquid.parse_template(source), {})) == "5001"


def test_no_output_holds_what_no_database_takes():
    assert (
        active(liquid.render_template(liquid.parse_template("a{{ '%00' | url_decode }}"), {}))
        == "a\N{REPLACEMENT CHARACTER}"
    )
    assert active(liquid.render_template(liquid.parse_template("{{ half }}"), {"half": "\ud800"})) == "?"
    with pytest.raises(TemplateError, match="cannot be rendered"):
        liquid.render_template(liquid.parse_template("{{ half }}", liquid.BODY), {"half": "\ud800"})


@pytest.mark.parametrize("environment", [liquid.LENIENT, liquid.BODY], ids=["message", "body"])
@pytest.mark.parametrize("number", range(60))
def test_any_template_ends_in_time(number, environment):
    assert outcome(template(number), environment)[1] < 2.4


def test_what_a_template_holds_stays_small():
    tracemalloc.start()
    try:
        outcome(S + LIST + "{% assign m = s | split: '' %}" + "{{ m | sort | reverse | join: ',' | size }}")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_over_many_messages_a_template_takes_no_longer_than_allowed():
    slow, quick = (
        liquid.parse_template(S + "{% for i in (1..40) %}{% if s contains 'zz' %}{% endif %}{% endfor %}x"),
        liquid.parse_template("y"),
    )
    began, made, errors = time.thread_time(), 0, []
    with liquid.template_time_limit(0.2, per_rendering=0.0001):
        for _ in range(1_000):
            try:
                made += liquid.render_template(slow, {}) == "x"
            except TemplateError as error:
                errors.append(error.message)
            assert liquid.render_template(quick, {}) == "y"
    assert made > 2
    assert len(errors) > 500
    assert "has taken longer than 0.2 seconds" in errors[-1]
    assert time.thread_time() - began < 2
    assert liquid.render_template(slow, {}) == "x"
