"""The transport of HTTP requests, against a receiver that misbehaves in every way it can."""

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from integrations.transport import http
from tests.receiver import Behaviour, Receiver
from tests.waiting import until


def test_an_answer_comes_back_whole(receiver):
    receiver.script("/hook", Behaviour(status=201, headers=[("X-Seen", "yes")], body=b"thank you"))
    answer = http.request("PUT", receiver.url("/hook?a=1"), headers={"X-One": "1"}, body=b"{}")
    assert (answer.status, answer.body, answer.headers["x-seen"], answer.cut) == (
        201,
        b"thank you",
        "yes",
        False,
    )
    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("PUT", "/hook?a=1", b"{}")
    assert request.header("Host") == f"127.0.0.1:{receiver.port}"
    assert request.header("x-one") == "1"


def test_a_header_that_comes_twice_is_one_with_both_values(receiver):
    receiver.script("/hook", Behaviour(headers=[("X-Seen", "one"), ("x-seen", "two")]))
    assert http.request("POST", receiver.url()).headers["X-SEEN"] == "one, two"


def test_a_connection_is_used_again(receiver):
    for _ in range(5):
        http.request("POST", receiver.url(), body=b"x")
    assert receiver.connections == 1


def test_a_kept_connection_that_the_peer_has_closed_is_replaced_without_a_trace(receiver):
    receiver.script("/hook", [Behaviour(hang_up=True)])
    for _ in range(5):
        assert http.request("POST", receiver.url(), body=b"x").status == 200
        until(lambda: receiver.closed == receiver.connections, "the end of the connection")
    assert len(receiver.requests) == 5


def test_a_kept_connection_that_breaks_before_the_whole_request_is_out_is_replaced(receiver, monkeypatch):
    http.request("POST", receiver.url())
    (kept,) = http._idle._kept
    kept.sock.shutdown(socket.SHUT_WR)
    monkeypatch.setattr(http._Connection, "is_connected", True)
    assert http.request("POST", receiver.url(), body=b"x").status == 200
    assert [request.body for request in receiver.requests] == [b"", b"x"]


def test_a_connection_is_not_kept_for_longer_than_servers_keep_theirs(receiver, monkeypatch):
    monkeypatch.setattr(http, "IDLE_SECONDS", 0)
    http.request("POST", receiver.url())
    http.request("POST", receiver.url())
    assert receiver.connections == 2


def test_no_more_connections_are_kept_than_the_process_may_have(settings):
    settings.DISPATCH_IN_FLIGHT = 2
    with Receiver() as one, Receiver() as two, Receiver() as three:
        for receiver in (one, two, three, one):
            http.request("POST", receiver.url())
        assert one.connections == 2, "the longest unused one had to go"
        http.request("POST", three.url())
        assert three.connections == 1


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour(delay=5), "No whole answer within 0.4 s."),
        (Behaviour(drip_head=0.1), "No whole answer within 0.4 s."),
        (Behaviour(close="before"), "The receiver closed the connection without an answer."),
        (Behaviour(close="after"), "The receiver closed the connection without an answer."),
        (Behaviour(close="reset"), "The connection broke"),
        (Behaviour(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), "brought no HTTP"),
        (Behaviour(raw=b"HTTP/1.1 2000 OK\r\n\r\n"), "brought no HTTP"),
        (Behaviour(raw=b"\rHTTP/1.1 200 OK\r\n\r\n"), "brought no HTTP"),
        (
            Behaviour(raw=b"HTTP/1.1 103 Early Hints\r\n" + b"A: b\r\n" * 1001),
            "closed the connection without an answer",
        ),
        (Behaviour(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 3), "closed the connection without an answer"),
    ],
)
def test_a_bad_answer_is_named_and_never_waited_for(receiver, behaviour, said):
    receiver.script("/hook", behaviour)
    start = time.monotonic()
    with pytest.raises(http.ReceiverUnreachable) as caught:
        http.request("POST", receiver.url(), body=b"{}", answer=0.4)
    assert said in str(caught.value)
    assert time.monotonic() - start < 1.5


REFUSED = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 600\r\n"


@pytest.mark.parametrize(
    ("rest", "missing"),
    [
        (b"Content-Length: 2\r\nContent-Length: 4\r\n\r\nok", "contradictory or malformed lengths"),
        (b"Content-Length: two\r\n\r\nok", "contradictory or malformed lengths"),
        (b"Content-Length: 400\r\n\r\nok", "The receiver answered 429, but broke off (IncompleteRead)."),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "broke off"),
        (b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "broke off"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "broke off"),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "broke off"),
        (b"A: " + b"x" * 70_000 + b"\r\n\r\n", "but sent a header line of more than 65,536 bytes."),
        (b"A: b\r\n" * 1001 + b"\r\n", "but sent more than 1,000 header lines."),
        (b"\r\n" + b"x" * 1_200_000, ""),
        (b"", ""),
        (b"A: b", ""),
    ],
)
def test_the_status_and_the_headers_of_a_refusal_that_breaks_off_count(receiver, rest, missing):
    receiver.script("/hook", Behaviour(raw=REFUSED + rest))
    answer = http.request("POST", receiver.url(), body=b"{}")
    assert (answer.status, answer.headers.get("Retry-After")) == (429, "600")
    assert missing in answer.incomplete
    assert not http._idle._kept


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410, 429, 503])
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(body=b"x" * 100, drip_body=0.1),
        Behaviour(body=b"x" * 100, drip_body=0.1, chunked=True),
        Behaviour(body=b"x" * 100, close="half"),
        Behaviour(body=b"short", length=100, hang_up=True),
        Behaviour(body=b"short", length=100),
    ],
    ids=["drip", "drip in chunks", "half", "closed early", "kept open"],
)
def test_a_status_counts_however_the_answer_goes_on(receiver, status, behaviour):
    receiver.script("/hook", replace(behaviour, status=status, headers=[("Retry-After", "600")]))
    start = time.monotonic()
    answer = http.request("POST", receiver.url(), body=b"{}", answer=0.4)
    assert time.monotonic() - start < 1.5
    assert (answer.status, answer.headers["Retry-After"], answer.is_whole) == (status, "600", False)
    assert f"The receiver answered {status}, but " in answer.incomplete


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("head", [b"", b"Content-Length: 90\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_does_not_end_is_kept_as_far_as_it_was_received(status, head):
    body = b"5\r\nthere\r\n" if b"chunked" in head else b"there"
    with keeping_open(b"HTTP/1.1 %d X\r\n%s\r\n%s" % (status, head, body)) as url:
        answer = http.request("POST", url, answer=0.4)
    assert (answer.status, answer.body, answer.is_whole) == (status, b"there", False)
    assert "was not complete within 0.4 s" in answer.incomplete


@contextmanager
def keeping_open(said: bytes):
    """A server that says this to one request and keeps the connection open; yields its URL."""
    done = threading.Event()

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(said)
            done.wait(30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            done.set()
            thread.join()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("behaviour", "missing"),
    [
        (Behaviour(body=b"x" * 100, drip_body=0.1), "its answer was not complete within 0.4 s"),
        (Behaviour(close="half", status=202, body=b"x" * 100), "The receiver answered 202, but broke off"),
        (Behaviour(raw=CHUNKED + b"zz\r\n"), "broke off"),
        (Behaviour(raw=CHUNKED + b"5\r\nab"), "broke off"),
        (Behaviour(raw=b"HTTP/1.1 204 No Content\r\n" + b"A: b\r\n" * 1001), "more than 1,000 header lines"),
        (Behaviour(raw=b"HTTP/1.1 201 Created\r\nA: " + b"x" * 70_000), "a header line of more than"),
        (Behaviour(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2, 40\r\n\r\nok"), "contradictory or malformed"),
        (Behaviour(raw=b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"), "contradictory or malformed"),
        (Behaviour(raw=b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok"), "contradictory or malformed"),
        (Behaviour(raw=b"HTTP/1.1 200 O", drip_head=0.02), ""),
        (Behaviour(raw=b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n"), ""),
    ],
)
def test_a_request_that_was_answered_2xx_is_accepted_however_its_answer_goes_on(receiver, behaviour, missing):
    receiver.script("/hook", behaviour)
    answer = http.request("POST", receiver.url(), body=b"{}", answer=0.4)
    assert 200 <= answer.status < 300
    assert missing in answer.incomplete
    assert not http._idle._kept


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink : <a>\r\nno colon\r\n folded\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n" + b"Link: a\r\n" * 1500 + b"\r\n",
        b"HTTP/1.1 103\nLink: a\n\n",
        b"HTTP/1.1 102 Processing\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" * 30,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 102 P\r\n\r\nHTTP/1.1 199 Fr\xfch\r\n\r\n",
    ],
)
def test_the_final_answer_counts_after_interim_ones_of_any_form(receiver, interim):
    receiver.script("/hook", Behaviour(raw=interim + OK))
    answer = http.request("POST", receiver.url(), body=b"{}")
    assert (answer.status, answer.body, answer.incomplete) == (200, b"ok", "")
    assert not http._idle._kept
    receiver.script(
        "/hook", Behaviour(raw=interim + b"HTTP/1.1 429 No\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n")
    )
    refused = http.request("POST", receiver.url(), body=b"{}")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "600")


def test_a_reason_may_be_of_any_length(receiver):
    receiver.script(
        "/hook", Behaviour(raw=b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nok")
    )
    answer = http.request("POST", receiver.url())
    assert (answer.status, answer.body, answer.is_whole) == (200, b"ok", True)


def test_what_arrived_of_a_body_that_breaks_off_is_kept(receiver):
    receiver.script("/hook", Behaviour(raw=CHUNKED + b"2\r\nok\r\n"))
    answer = http.request("POST", receiver.url())
    assert (answer.status, answer.body, answer.is_whole) == (200, b"ok", False)


def test_a_whole_answer_misses_nothing(receiver):
    assert http.request("POST", receiver.url()).incomplete == ""


def test_empty_lines_before_an_answer_are_skipped(receiver):
    receiver.script("/hook", Behaviour(raw=b"\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"))
    answer = http.request("POST", receiver.url())
    assert (answer.status, answer.body, answer.incomplete) == (202, b"ok", "")


def test_an_answer_may_have_many_headers(receiver):
    receiver.script("/hook", Behaviour(headers=[(f"X-{number}", "x") for number in range(120)], body=b"ok"))
    answer = http.request("POST", receiver.url())
    assert (answer.status, answer.body, answer.headers["X-119"], answer.incomplete) == (200, b"ok", "x", "")


def test_after_a_bad_answer_the_connection_is_not_used_again(receiver):
    receiver.script("/hook", [Behaviour(status=500, body=b"x" * 10, drip_body=0.1), Behaviour(body=b"fine")])
    assert http.request("POST", receiver.url(), answer=0.3).status == 500
    assert http.request("POST", receiver.url()).body == b"fine"
    assert receiver.connections == 2


def test_a_huge_answer_is_read_up_to_the_cap_and_dropped(receiver):
    receiver.script("/hook", Behaviour(body=b"x" * 3_000_000))
    answer = http.request("POST", receiver.url())
    assert (answer.status, len(answer.body), answer.cut) == (200, 64 * 1024, True)
    http.request("POST", receiver.url())
    assert receiver.connections == 2


def test_a_compressed_answer_is_not_unpacked(receiver):
    import gzip

    bomb = gzip.compress(b"\0" * 50_000_000)
    receiver.script("/hook", Behaviour(body=bomb, headers=[("Content-Encoding", "gzip")]))
    assert http.request("POST", receiver.url()).body == bomb[: 64 * 1024]
    assert receiver.requests[0].header("Accept-Encoding") == "identity"


def test_redirects_are_not_followed(receiver):
    receiver.script("/hook", Behaviour(status=302, headers=[("Location", receiver.url("/elsewhere"))]))
    assert http.request("POST", receiver.url()).status == 302
    assert not receiver.of("/elsewhere")


def test_an_answer_given_before_the_whole_request_was_read_still_counts(receiver):
    """Such as 413 from a receiver that then hangs up."""
    listener, answered = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def refuse() -> None:
        peer, _ = listener.accept()
        peer.recv(1024)
        peer.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        peer.shutdown(socket.SHUT_WR)
        answered.wait(30)
        peer.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert http.request("POST", url, body=b"x" * 200_000).status == 413
    finally:
        answered.set()
        thread.join()
        listener.close()


def test_a_receiver_that_does_not_read_is_cut_off():
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(http.ReceiverUnreachable, match="did not take the request in time"):
            http.request("POST", url, body=b"x" * 30_000_000, answer=0.3)
    finally:
        listener.close()


def test_nobody_listening_differs_from_a_timeout():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(
        http.ReceiverUnreachable, match=r"No connection with 127.0.0.1 \(Connection refused\)"
    ):
        http.request("POST", f"http://127.0.0.1:{port}/")


def test_a_port_that_swallows_everything_is_given_up_in_time():
    """A full backlog: the handshake of a new connection is never answered."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(http.ReceiverUnreachable, match=r"within 0\.3 s"):
            http.request("POST", url, connect=0.3)
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


# --- names and addresses ----------------------------------------------------------------------------


def resolver(monkeypatch, *answers):
    """A resolver that gives one list of addresses after the other; the list of names it was asked."""
    asked = []

    def fake(host, port, *args, **kwargs):
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        if isinstance(addresses, Exception):
            raise addresses
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (family[":" in a], socket.SOCK_STREAM, 6, "", (a, port, 0, 0) if ":" in a else (a, port))
            for a in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    return asked


def test_an_address_that_is_not_allowed_is_refused_with_the_way_out(settings, receiver):
    settings.ALLOWED_NETWORKS = []
    with pytest.raises(http.RequestRefused) as caught:
        http.request("POST", receiver.url())
    assert "127.0.0.1 is loopback" in str(caught.value)
    assert f"add 127.0.0.1:{receiver.port} to the setting ALLOWED_NETWORKS" in str(caught.value)
    assert receiver.connections == 0


def test_a_kept_connection_does_not_outlive_the_permission_for_it(settings, receiver):
    http.request("POST", receiver.url())
    settings.ALLOWED_NETWORKS = []
    with pytest.raises(http.RequestRefused):
        http.request("POST", receiver.url())


def test_one_bad_record_among_good_ones_refuses_the_name(settings, monkeypatch, receiver):
    settings.ALLOWED_NETWORKS = ["127.0.0.1/32"]
    resolver(monkeypatch, ["127.0.0.1", "169.254.169.254"])
    with pytest.raises(
        http.RequestRefused, match=r"169\.254\.169\.254 is link-local, where clouds serve metadata"
    ):
        http.request("POST", f"http://hook.example:{receiver.port}/")
    assert receiver.connections == 0


def test_a_name_that_is_rebound_between_check_and_dial_changes_nothing(monkeypatch, settings, receiver):
    settings.ALLOWED_NETWORKS = ["127.0.0.1/32"]
    asked = resolver(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    assert http.request("POST", f"http://rebind.example:{receiver.port}/").status == 200
    assert asked == ["rebind.example"], "resolved once; the checked address is the one dialled"
    http.close_idle()
    with pytest.raises(http.RequestRefused, match=r"127\.0\.0\.2"):
        http.request("POST", f"http://rebind.example:{receiver.port}/")


def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch, settings, receiver):
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]
    resolver(monkeypatch, ["127.0.0.9", "127.0.0.1"])
    assert http.request("POST", f"http://two.example:{receiver.port}/").status == 200
    assert receiver.requests[0].header("Host") == f"two.example:{receiver.port}"


def test_a_name_that_does_not_exist_is_said_so(monkeypatch):
    resolver(monkeypatch, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    with pytest.raises(
        http.ReceiverUnreachable, match=r"gone\.example cannot be resolved \(Name or service not known\)"
    ):
        http.request("POST", "https://gone.example/")


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: release.wait(5) and [])
    try:
        start = time.monotonic()
        with pytest.raises(http.ReceiverUnreachable, match="was not resolved in time"):
            http.request("POST", "https://slow.example/", connect=0.2)
        assert time.monotonic() - start < 1
    finally:
        release.set()


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_is_not_used(monkeypatch, receiver, name):
    with Receiver() as proxy:
        monkeypatch.setenv(name, proxy.url(""))
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert http.request("POST", receiver.url()).status == 200
        assert proxy.connections == 0


def test_credentials_of_a_netrc_file_are_not_sent(monkeypatch, tmp_path, receiver):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    http.request("POST", receiver.url())
    assert receiver.requests[0].header("Authorization") is None


def test_a_url_that_no_target_may_have_is_refused_before_anything_is_resolved(monkeypatch):
    asked = resolver(monkeypatch, ["127.0.0.1"])
    for url in ("ftp://a.example/", "http://u:p@a.example/", "http://0x7f.1/", "http://2130706433/"):
        with pytest.raises(http.RequestRefused):
            http.request("GET", url)
    assert asked == []


def test_a_line_break_in_a_header_is_refused_and_not_repeated(receiver):
    with pytest.raises(http.RequestRefused) as caught:
        http.request("POST", receiver.url(), headers={"X-Token": "secret\r\nX-More: 1"})
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert not receiver.requests


def test_a_forked_child_opens_its_own_connections(receiver):
    http.request("POST", receiver.url())
    child = os.fork()
    if child == 0:
        os._exit(0 if http.request("POST", receiver.url()).status == 200 else 1)
    assert os.waitpid(child, 0)[1] == 0
    http.request("POST", receiver.url())
    assert receiver.connections == 2
    assert [request.connection for request in receiver.requests] == [1, 2, 1]


# --- an explicit proxy --------------------------------------------------------------------------------


def test_the_proxy_of_the_setting_gets_the_checked_address(settings, receiver):
    tunnel = Tunnel()
    settings.OUTGOING_PROXY = f"http://user:pass@127.0.0.1:{tunnel.port}"
    try:
        assert http.request("POST", f"http://localhost:{receiver.port}/hook", body=b"{}").status == 200
    finally:
        tunnel.close()
    assert tunnel.asked[0].startswith(
        (f"CONNECT 127.0.0.1:{receiver.port} ", f"CONNECT [::1]:{receiver.port} ")
    )
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in tunnel.asked[0]
    assert receiver.requests[0].header("Host") == f"localhost:{receiver.port}"
    assert receiver.requests[0].header("Proxy-Authorization") is None


class Tunnel:
    """A proxy that knows CONNECT to 127.0.0.1 and nothing else."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client:
            request = client.recv(4096).decode()
            self.asked.append(request)
            port = int(request.split()[1].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pump, args=(upstream, client), daemon=True)
                back.start()
                self._pump(client, upstream)
                # The sockets are closed when neither direction uses them any more.
                back.join()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        """Whichever side ends or breaks first ends the other direction as well."""
        with suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        for side in (source, sink):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
