"""Templates in a process that can be killed: bounds of time and memory, and the error that the caller gets."""

import io
import json
import os
import pickle
import subprocess
import sys
import threading
import time

import pytest

from integrations.templating import liquid, template_process
from integrations.templating.liquid import TemplateError
from integrations.templating.markdown import active, inert
from tests.integrations.hostile_templates import template

DOUBLED = "{% assign s = 'ab' %}" + "{% assign s = s | append: s %}" * 16
# Searches enough in each turn for the time to end before the turns, on a fast machine too.
SEARCH = "{% if " + " or ".join(["s contains 'zz'"] * 30) + " %}{% endif %}"
SLOW = DOUBLED + "{% for i in (1..30000) %}" + SEARCH + "{% endfor %}"


def error_of(source, dialect="strict", data=({},), **options):
    with pytest.raises(TemplateError) as caught:
        template_process.render_in_process(source, dialect, data, **options)
    return caught.value


def freeze(monkeypatch, seconds=0.4):
    """Let the bounds within the process be no help: only killing it ends what it does."""
    monkeypatch.setattr(template_process, "PROCESS_SECONDS", seconds)
    loop = "import sys, time; print('ready', flush=True); sys.stdin.buffer.read(4); time.sleep(60)"
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda _, **options: popen([sys.executable, "-c", loop], **options)
    )
    pool = template_process._Pool()
    monkeypatch.setattr(template_process, "_pool", lambda _: pool)
    return pool


def test_the_texts_of_one_template_come_in_the_order_of_the_data():
    data = [{"login": "kim"}, {"login": "lee"}]
    assert template_process.render_in_process("{{ login }}!", "body", data) == ["kim!", "lee!"]


def test_an_error_says_where_it_is_and_which_data_it_is_about():
    assert (error_of("a\n{{ nope }}").line, error_of("a\n{{ nope }}").column) == (2, 4)
    error = error_of("{{ a }}", data=[{"a": 1}, {"a": 2}, {}])
    assert error.number == 2
    assert "no variable" in error_of("{{ a }}", names={"b": set()}).message


def test_details_that_a_user_lacks_are_empty_there_too():
    users = [{"details": liquid.TemplateDetails(phone="1")}, {"details": liquid.TemplateDetails()}]
    source = "{% for user in users %}[{{ user.details.phone }}]{% endfor %}"
    (text,) = template_process.render_in_process(source, "strict", [{"users": users}])
    assert active(text) == "[1][]"


def test_a_process_is_used_again_and_holds_none_of_our_secrets(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "not-for-templates")
    pool = template_process._Pool()
    try:
        for _ in range(3):
            assert pool.ask(pickle.dumps(("1", "strict", [{}], None))) == {"texts": ["1"]}
        (process,) = pool._idle
        with open(f"/proc/{process._popen.pid}/environ", "rb") as file:
            assert b"not-for-templates" not in file.read()
    finally:
        pool.close()
    assert process._popen.returncode is not None


def test_a_slow_template_is_refused_within_the_time():
    began = time.monotonic()
    assert "takes longer than" in error_of(SLOW).message
    assert time.monotonic() - began < 2.5


def test_a_process_that_does_not_answer_is_killed_and_replaced(monkeypatch):
    pool = freeze(monkeypatch)
    began = time.monotonic()
    try:
        assert error_of("{{ 1 }}").message == template_process.TOO_LONG
        assert time.monotonic() - began < 5
        (replacement,) = pool._idle
        assert replacement.is_usable
    finally:
        pool.close()


def test_a_process_that_dies_is_followed_by_another(monkeypatch):
    pool = freeze(monkeypatch, seconds=20)
    process = template_process._Process()
    pool._idle.append(process)
    threading.Timer(1.5, process._popen.kill).start()
    try:
        assert error_of("{{ 1 }}").message == template_process.DIED
        assert len(pool._idle) == 1
    finally:
        pool.close()


def test_without_a_free_process_the_answer_is_to_try_again(monkeypatch):
    pool = freeze(monkeypatch)
    monkeypatch.setattr(template_process, "WAIT_SECONDS", 0.1)
    with pool._slots, pool._slots:
        assert error_of("{{ 1 }}").message == template_process.BUSY


def test_while_it_starts_the_answer_is_to_try_again_and_then_it_has_started(monkeypatch):
    pool = template_process._Pool()
    monkeypatch.setattr(template_process, "_pool", lambda _: pool)
    monkeypatch.setattr(template_process, "WAIT_SECONDS", 0.0)
    try:
        assert error_of("{{ 1 }}").message == template_process.STARTING
        (starting,) = pool._idle
        monkeypatch.setattr(template_process, "WAIT_SECONDS", 60)
        assert template_process.render_in_process("1", "strict", [{}]) == ["1"]
        assert pool._idle == [starting]
    finally:
        pool.close()


def test_a_command_waits_for_it_to_start(monkeypatch):
    pool = template_process._Pool()
    monkeypatch.setattr(template_process, "_pool", lambda _: pool)
    monkeypatch.setattr(template_process, "WAIT_SECONDS", 0.0)
    try:
        with template_process.patient_templates():
            assert template_process.render_in_process("1", "strict", [{}]) == ["1"]
    finally:
        pool.close()


def test_templates_at_once_hold_neither_each_other_nor_this_process():
    errors = []

    def ask():
        errors.append(error_of(SLOW).message)

    template_process.render_in_process("{{ 1 }}", "strict", [{}])
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    worked = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
        worked += 1
    for thread in threads:
        thread.join()
    assert worked > 20
    assert all("takes longer" in error or error == template_process.BUSY for error in errors)


MEMORY = """
import resource, sys
from integrations.templating import template_process
template_process._limit(resource.RLIMIT_AS, template_process.MAX_MEMORY)
template_process.liquid.Template.render = lambda *_, **__: "x" * (1 << 30)
template_process.serve(sys.stdin.buffer, sys.stdout.buffer)
"""


def test_a_template_that_needs_too_much_memory_is_an_error():
    job = pickle.dumps(("{{ 1 }}", "strict", [{}], None))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        input=template_process._LENGTH.pack(len(job)) + job,
        capture_output=True,
        check=True,
    )
    ready, answer = done.stdout.splitlines()
    assert ready == b"ready"
    assert json.loads(answer)["error"][0].startswith("The template cannot be rendered")


def test_it_serves_until_the_other_end_is_closed(monkeypatch):
    monkeypatch.setattr(template_process, "_limit", lambda *_: None)
    jobs = [("{{ 1 }}", "body", [{}], None), ("{{", "body", [{}], None)]
    sent = b"".join(template_process._LENGTH.pack(len(job)) + job for job in map(pickle.dumps, jobs))
    answers = io.BytesIO()
    template_process.serve(io.BytesIO(sent), answers)
    ready, first, second = answers.getvalue().splitlines()
    assert (ready, json.loads(first)) == (b"ready", {"texts": ["1"]})
    assert json.loads(second)["error"][3] == 0


def test_what_renders_in_a_block_renders_there():
    here = os.getpid()
    with template_process.killable_templates():
        parsed = liquid.parse_template("{{ a }}")
        assert liquid.render_template(parsed, {"a": "x"}) == inert("x")
        assert template_process._pool(here)._idle
        with pytest.raises(TemplateError, match="takes longer than"):
            liquid.render_template(liquid.parse_template(SLOW), {})


@pytest.mark.parametrize("number", range(20))
def test_what_renders_here_renders_there_alike(number):
    source, data = template(number), {"users": [], "total": 1}
    try:
        here = liquid.render_template(liquid.parse_template(source), data)
    except TemplateError as error:
        here = error.message
    try:
        (there,) = template_process.render_in_process(source, "lenient", [data])
    except TemplateError as error:
        there = error.message
    assert here == there or "takes longer" in there + here
