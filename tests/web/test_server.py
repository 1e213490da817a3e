"""What the web server does with bytes: answers to HEAD, requests of two lengths, half requests, large bodies."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.urls import get_resolver

from tests.web.live import Live, environment, head, serving, set_up, status_of

MIB = 1024 * 1024
UPLOAD = "/integrations/sources/"
FORM = "Content-Type: application/x-www-form-urlencoded"
# A healthy server answers within some hundredths of a second; the machine may be busy with other tests.
SOON = 5.0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("web")
    variables = environment(folder)
    with serving(folder, variables, set_up(variables)) as running:
        yield running


def plain_paths(patterns=None, prefix="/") -> Iterator[str]:
    """Each address of the URLconf that has no parameter."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if hasattr(pattern, "url_patterns"):
            yield from plain_paths(pattern.url_patterns, route)
        elif not re.search(r"[<(]", route):
            yield route


# --- HEAD ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["", "Operator"])
def test_an_answer_to_head_has_no_body_on_any_route(live, role):
    """Each answer on the kept connection begins where the headers of the one before end."""
    paths = [
        *plain_paths(),
        "/no-such-page",
        "/static/console/console.css",
        "/static/no-such",
        "/checks/no-mfa/",
    ]
    paths.append("/checks/no-mfa/failing.csv")
    assert len(paths) > 40
    found = {}
    for path in paths:
        with live.connect() as wire:
            wire.send(head("HEAD", path, live.cookie(role)))
            answer = wire.head()
            if b"connection: close" in answer.lower():
                left = wire.rest()
            else:
                wire.send(head("GET", "/healthz", "Connection: close"))
                left = wire.rest()
                assert status_of(left) in (200, 503), path
                left = left.partition(b"HTTP/1.1")[0]
            if left:
                found[path] = left[:60]
    assert found == {}


PLANTED = [
    "/admin/login/?next=/HTTP/1.1%20200%20OK",
    "/admin/login/?next=%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0aX-Planted:%20yes%0d%0a%0d%0a",
    "/users/?q=%0d%0aHTTP/1.1%20200%20OK%0d%0aX-Planted:%20yes",
    "/users/%0d%0aX-Planted:%20yes",
    "//evil.example/%0d%0aX-Planted:%20yes",
    "/admin/checks/user/?q=%E5%98%8A%E5%98%8DX-Planted:%20yes",
    "/admin/%0d%0aX-Planted:%20yes",
]


@pytest.mark.parametrize("path", PLANTED)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("role", ["", "Operator"])
def test_no_address_plants_a_status_line_or_a_header(live, method, path, role):
    with live.connect() as wire:
        wire.send(head(method, path, live.cookie(role)))
        answer = wire.head()
        assert b"X-Planted: yes" not in answer.replace(b"Location: ", b"").split(b"\r\n")
        assert len(re.findall(rb"^HTTP/1\.1 \d", answer, re.MULTILINE)) == 1
        if method == "HEAD":
            wire.send(head("GET", "/healthz", "Connection: close"))
            assert status_of(wire.rest()) in (200, 503)


# --- Two lengths ---------------------------------------------------------------------------------------
CHUNKS = "0\r\n\r\n"
SMUGGLED = {
    "both": f"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}",
    "both, the other way round": f"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{CHUNKS}",
    "both, lower case": f"content-length: 4\r\ntransfer-encoding: CHUNKED\r\n\r\n{CHUNKS}",
    "chunked alone": f"Transfer-Encoding: chunked\r\n\r\n{CHUNKS}",
    "chunked twice": f"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}",
    "chunked, folded": f"Transfer-Encoding:\r\n chunked\r\n\r\n{CHUNKS}",
    "an unknown coding": f"Transfer-Encoding: xchunked\r\n\r\n{CHUNKS}",
    "chunked, then identity": f"Transfer-Encoding: chunked, identity\r\n\r\n{CHUNKS}",
    "a space before the colon": f"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n{CHUNKS}",
    "a vertical tab": f"Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\n{CHUNKS}",
    "a bare CR": f"X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{CHUNKS}",
    "a NUL": "X-A: b\x00c\r\nContent-Length: 0\r\n\r\n",
    "two lengths": "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": "Content-Length: 4, 4\r\n\r\nabcd",
    "a length with a sign": "Content-Length: +4\r\n\r\nabcd",
    "a hexadecimal length": "Content-Length: 0x4\r\n\r\nabcd",
    "a negative length": "Content-Length: -1\r\n\r\n",
    "a length of 400 digits": f"Content-Length: {'9' * 400}\r\n\r\nabcd",
    "a length of 5,000 digits": f"Content-Length: {'9' * 5000}\r\n\r\nabcd",
    "a length with a space before the colon": "Content-Length : 4\r\n\r\nabcd",
    "both, and wait for leave": f"Expect: 100-continue\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}",
}


@pytest.mark.parametrize("framing", SMUGGLED.values(), ids=SMUGGLED)
def test_a_request_whose_length_can_be_read_in_two_ways_is_refused_and_the_connection_closed(live, framing):
    after = head("GET", "/healthz")
    answer = live.answer(
        f"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\n{framing}".encode("latin-1") + after
    )
    assert status_of(answer) in (400, 411, 413, 501)
    assert len(re.findall(rb"HTTP/1\.[01] \d{3}", answer)) == 1


@pytest.mark.parametrize("address", ["//[", "http://[::1", "http://[a]/"])
def test_an_address_that_is_none_is_refused(live, address):
    assert status_of(live.answer(head("GET", address, "Connection: close"))) in (400, 404)


def test_http_1_0_with_a_transfer_encoding_is_refused(live):
    request = f"POST /admin/login/ HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"
    assert status_of(live.answer(request.encode())) == 411


def test_a_refusal_of_head_has_no_body_either(live):
    answer = live.answer(head("HEAD", "/healthz", "Transfer-Encoding: chunked"))
    assert status_of(answer) == 411
    assert answer.endswith(b"\r\n\r\n")


# --- Half requests -------------------------------------------------------------------------------------
HALF = {
    "nothing": b"",
    "half a request line": b"GET /heal",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: local",
    "half a body that the application would read": head(
        "POST", "/admin/login/", FORM, "Content-Length: 1000", f"Cookie: csrftoken={'c' * 32}"
    )
    + b"csrfmiddlewaretoken=",
}


@pytest.mark.parametrize("sent", HALF.values(), ids=HALF)
def test_it_answers_while_500_connections_hang_half_open(live, sent):
    with ExitStack() as open_ones:
        for _ in range(500):
            open_ones.enter_context(live.connect()).send(sent)
        for path in ("/healthz", "/admin/login/", "/static/console/console.css"):
            began = time.monotonic()
            assert status_of(live.get(path)) in (200, 503)
            assert time.monotonic() - began < SOON


@pytest.mark.parametrize("sent", HALF.values(), ids=HALF)
def test_a_request_that_takes_too_long_to_arrive_is_cut_off_however_it_drips(tmp_path, sent):
    """The same server with less patience: a byte each tenth of a second does not extend the time."""
    impatient = (
        "import sys, django; django.setup(); from cii_project.web import server; server.REQUEST_SECONDS = 1;"
        "from manage import main; sys.argv = ['manage.py', 'serve', *sys.argv[1:]]; main()"
    )
    variables = environment(tmp_path)
    with (
        serving(tmp_path, variables, {}, ["-c", impatient]) as impatient_one,
        impatient_one.connect() as wire,
    ):
        began = time.monotonic()
        wire.send(sent)
        try:
            while time.monotonic() - began < 15:
                if sent:
                    wire.send(b"x")
                time.sleep(0.1)
                if not sent and wire.rest() == b"":
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() - began < 10


# --- Large bodies --------------------------------------------------------------------------------------
def upload(live: Live, role: str, size: int, path: str = UPLOAD) -> bytes:
    return head(
        "POST",
        path,
        live.cookie(role),
        f"Content-Length: {size}",
        "Connection: close",
        "Content-Type: text/csv",
    )


@pytest.mark.parametrize(
    ("role", "path"), [("", UPLOAD), ("", "/admin/login/"), ("Viewer", UPLOAD), ("Operator", "/checks/bulk")]
)
def test_over_a_mebibyte_is_refused_and_never_written_to_disk(live, role, path):
    size = 8 * MIB
    with live.connect() as wire:
        wire.send(upload(live, role, size, path) + bytes(size - 1))
        assert live.buffered_on_disk() == 0
        wire.send(b"\0")
        answer = wire.rest()
    assert status_of(answer) == 413
    assert b"The request has 8.0 MiB; at most 1 MiB are accepted here." in answer


def test_a_session_that_was_made_up_opens_nothing(live):
    with live.connect() as wire:
        wire.send(head("POST", UPLOAD, "Cookie: sessionid=" + "x" * 32, f"Content-Length: {8 * MIB}"))
        wire.send(bytes(7 * MIB))
        assert live.buffered_on_disk() == 0


def test_an_operator_may_upload_64_mebibytes(live):
    boundary = "-" * 20
    field = '--{0}\r\nContent-Disposition: form-data; name="{1}"{2}\r\n\r\n{3}\r\n'
    fields = [("source", "new"), ("slug", "okta"), ("strict", "on")]
    begin = "".join(field.format(boundary, name, "", value) for name, value in fields)
    begin += field.format(boundary, "file", '; filename="users.csv"', "login,nonsense")
    line = b"ann," + b"x" * 1019 + b"\n"
    lines, end = line * (64 * 1024 - 1), f"\r\n--{boundary}--\r\n".encode()
    size = len(begin) + len(lines) + len(end)
    headers = (live.cookie("Operator"), f"Content-Type: multipart/form-data; boundary={boundary}")
    with live.connect(timeout=60) as wire:
        wire.send(head("POST", UPLOAD, *headers, f"Content-Length: {size}", "Connection: close"))
        wire.send(begin.encode() + lines)
        # So the tests above would see a file.
        deadline = time.monotonic() + SOON
        while live.buffered_on_disk() < 32 * MIB:
            assert time.monotonic() < deadline
        wire.send(end)
        assert status_of(wire.rest()) != 413


def test_nobody_uploads_more(live):
    with live.connect() as wire:
        wire.send(upload(live, "Operator", 66 * MIB))
        assert status_of(wire.rest()) == 413


def test_a_refused_client_that_waits_for_leave_is_not_left_waiting(live):
    answer = live.answer(
        head("POST", "/admin/login/", "Expect: 100-continue", f"Content-Length: {2000 * MIB}")
    )
    assert status_of(answer) == 413


# --- Behind a proxy ------------------------------------------------------------------------------------
@pytest.mark.parametrize("trusted", [True, False])
def test_only_a_trusted_proxy_says_that_a_request_came_over_https(live, tmp_path, trusted):
    proxies = "127.0.0.1/32" if trusted else "192.0.2.1/32"
    variables = {**live.variables, "PUBLIC_URL": "https://localhost", "TRUSTED_PROXIES": proxies}
    with serving(tmp_path, variables, {}) as behind:
        assert b"\r\nLocation: https://localhost/users/" in behind.get("/users/")
        answer = behind.get("/admin/login/", "X-Forwarded-Proto: https")
        if not trusted:
            assert b"\r\nLocation: https://localhost/admin/login/" in answer
            return
        assert status_of(answer) == 200
        assert re.search(rb"\r\nStrict-Transport-Security: max-age=31536000\r\n", answer)
        cookies = re.findall(rb"\r\nSet-Cookie: +([^\r]*)", answer)
        assert cookies
        for cookie in cookies:
            assert cookie.startswith(b"__Host-")
            assert b"; Path=/; " in cookie + b"; "
            assert b"Secure" in cookie
            assert b"Domain" not in cookie


def test_a_second_server_on_the_same_port_says_so(live, tmp_path):
    import subprocess
    import sys

    from tests.web.live import ROOT

    done = subprocess.run(
        [sys.executable, "manage.py", "serve", f"--listen=127.0.0.1:{live.port}"],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{live.port}" in done.stderr
    assert "Traceback" not in done.stderr
