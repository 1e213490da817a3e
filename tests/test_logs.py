"""Log lines: ids of what they belong to, fields, and one line for each record, as text and as JSON."""

import json
import logging
from threading import Thread

import pytest
from django.core.management import call_command
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client
from django.urls import path
from structlog.contextvars import bound_contextvars

from cii_project.log_format import formatter
from cii_project.management.audited import AuditedCommand

log = logging.getLogger("tests.logs")


class Lines(logging.Handler):
    """Keeps what a handler with this formatter writes."""

    def __init__(self, kind):
        super().__init__()
        self.setFormatter(formatter(kind))
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


def _lines(kind):
    handler = Lines(kind)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def text_lines():
    yield from _lines("text")


@pytest.fixture
def json_lines():
    yield from _lines("json")


def logging_view(request):
    log.warning("seen")
    return HttpResponse("ok")


def streaming_view(request):
    def parts():
        for number in range(2):
            log.warning("part", extra={"number": number})
            yield b"x"

    return StreamingHttpResponse(parts())


urlpatterns = [path("logging", logging_view), path("streaming", streaming_view)]


@pytest.fixture
def pages(settings):
    settings.ROOT_URLCONF = __name__
    return Client()


def test_a_text_line_ends_with_the_ids_of_its_context_and_its_own_fields(text_lines):
    with bound_contextvars(run_id=17):
        log.info("Target paused", extra={"target": "SOC mail", "failures": 20, "is_new": True})
    (line,) = text_lines
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert rest == 'INFO tests.logs Target paused run_id=17 target="SOC mail" failures=20 is_new=true'


def test_a_json_line_holds_the_same_as_an_object(json_lines):
    with bound_contextvars(run_id=17):
        log.info("Target paused", extra={"target": "SOC mail", "failures": 20, "counts": {"new": 3}})
    (line,) = map(json.loads, json_lines)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info", "logger": "tests.logs", "event": "Target paused", "run_id": 17, "target": "SOC mail",
        "failures": 20, "counts": {"new": 3},
    }  # fmt: skip


def test_ids_end_with_their_block(text_lines):
    with bound_contextvars(run_id=17):
        pass
    log.info("after")
    assert "run_id" not in text_lines[0]


def test_a_thread_has_only_the_ids_that_it_binds_itself(json_lines):
    def work():
        with bound_contextvars(delivery_id="d1"):
            log.info("sent")

    with bound_contextvars(run_id=17):
        thread = Thread(target=work)
        thread.start()
        thread.join()
    (line,) = map(json.loads, json_lines)
    assert (line.get("run_id"), line["delivery_id"]) == (None, "d1")


@pytest.mark.parametrize(
    "outside", ["a\n2026-10-01T00:00:00Z INFO forged", "a\r\nforged", "a\x1b[2Jb\u2028c\x85d"]
)
def test_a_value_from_outside_makes_no_line_of_its_own(text_lines, json_lines, outside):
    log.warning("account %s", outside, extra={"account": outside})
    assert len(text_lines[0].splitlines()) == 1
    assert json_lines[0].isprintable()
    assert json.loads(json_lines[0])["account"] == outside


def test_a_traceback_follows_the_text_line_and_is_a_field_of_json(text_lines, json_lines):
    try:
        raise ValueError("a fault")
    except ValueError:
        log.exception("The step failed", extra={"step": "sync"})
    first, *more = text_lines[0].splitlines()
    assert first.endswith("The step failed step=sync")
    assert more[0].startswith("Traceback")
    assert more[-1] == "ValueError: a fault"
    assert json.loads(json_lines[0])["exception"].endswith("ValueError: a fault")


def test_a_secret_that_json_must_escape_leaves_json(settings, json_lines):
    settings.METRICS_TOKEN = 'token-with-"quote-and-back\\slash\\'
    log.warning("refused", extra={"answer": f"{settings.METRICS_TOKEN}", "next": "x"})
    line = json.loads(json_lines[0])
    assert "slash" not in line["answer"]
    assert line["next"] == "x"


def test_an_object_in_a_field_is_logged_as_its_text(json_lines):
    log.warning("odd", extra={"thing": object, "things": {1}, "nan": float("nan")})
    line = json.loads(json_lines[0], parse_constant=pytest.fail)
    assert (line["thing"], line["things"], line["nan"]) == ("<class 'object'>", [1], "nan")


def test_every_line_of_a_request_carries_the_id_of_its_response(pages, json_lines):
    answers = [pages.get("/logging") for _ in range(2)]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert [json.loads(line)["request_id"] for line in json_lines] == ids
    assert len(set(ids)) == 2


def test_lines_written_while_a_body_is_streamed_carry_the_id_too(pages, json_lines):
    answer = pages.get("/streaming")
    assert b"".join(answer) == b"xx"
    expected = [(answer.headers["X-Request-Id"], number) for number in range(2)]
    lines = map(json.loads, json_lines)
    assert [(line["request_id"], line["number"]) for line in lines] == expected
    log.warning("after")
    assert "request_id" not in json_lines[-1]


def test_an_error_page_has_an_id_and_so_has_its_traceback(settings, json_lines):
    settings.ROOT_URLCONF = "tests.commands.test_error_reports"
    answer = Client(raise_request_exception=False).get("/fail")
    assert answer.status_code == 500
    (line,) = map(json.loads, json_lines)
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert "ValueError" in line["exception"]


SENT = "id-of-the-proxy-1"


@pytest.mark.parametrize(
    ("trusts", "proxies", "sent", "is_kept"),
    [
        (False, [], SENT, False),
        (False, ["127.0.0.1/32"], SENT, False),
        (True, [], SENT, False),
        (True, ["10.0.0.0/8"], SENT, False),
        (True, ["127.0.0.1/32"], SENT, True),
        (True, ["127.0.0.1/32"], "short", False),
        (True, ["127.0.0.1/32"], "x" * 65, False),
        (True, ["127.0.0.1/32"], "with a space", False),
        (True, ["127.0.0.1/32"], "", False),
    ],
)
def test_an_id_from_outside_counts_only_from_a_trusted_proxy_and_on_request(
    settings, pages, trusts, proxies, sent, is_kept
):
    settings.TRUST_REQUEST_ID, settings.TRUSTED_PROXIES = trusts, proxies
    answer = pages.get("/logging", headers={"X-Request-Id": sent})
    assert (answer.headers["X-Request-Id"] == sent) is is_kept


@pytest.mark.django_db
def test_every_line_of_a_command_names_it(json_lines):
    class Command(AuditedCommand):
        def run(self, **options):
            log.info("working")

    call_command(Command())
    assert json.loads(json_lines[0])["command"] == "test_logs"
