"""A kept connection never carries the rest of one answer into the next delivery."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from integrations.transport import http, streams
from tests.receiver import Behaviour, Receiver
from tests.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 422 Unprocessable Content\r\nContent-Length: 2\r\n\r\nno"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Step = bytes | float  # bytes to send in one packet, or seconds to wait


class Speaker:
    """Answers each request with the next list of steps and keeps the connection open, whatever it has sent."""

    def __init__(self, answers: Sequence[Sequence[Step]]) -> None:
        self.answers = list(answers)
        self.connections = self.requests = self.answered = self.ended = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._open.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while self._read(connection):
                self.requests += 1
                for step in self.answers.pop(0):
                    time.sleep(step) if isinstance(step, float) else connection.sendall(step)
                self.answered += 1
        self.ended += 1

    def _read(self, connection: socket.socket) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := connection.recv(65536)):
                return False
            head += piece
        head, _, body = head.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        while len(body) < length:
            body += connection.recv(65536)
        return True

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


@contextmanager
def speaker(*answers: Sequence[Step]) -> Iterator[Speaker]:
    running = Speaker(answers)
    running._threads[0].start()
    try:
        yield running
    finally:
        running.close()


def call(running: Speaker, **options: float) -> http.HttpAnswer:
    return http.request("POST", running.url, body=b"{}", **options)


INTERIM = {
    "100": CONTINUE,
    "102 three times": PROCESSING * 3,
    "103": HINTS,
    "103 after 100": CONTINUE + HINTS,
    "an unknown one": b"HTTP/1.1 199 \r\n\r\n",
    "a hundred": PROCESSING * 100,
    "with a length, which it has not": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
def test_the_final_answer_counts_and_the_next_delivery_gets_its_own(interim):
    with speaker([interim + OK], [REFUSED]) as running:
        first, second = call(running), call(running)
    assert (first.status, first.body, second.status) == (200, b"ok", 422)
    assert running.connections == 2


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
def test_the_final_answer_counts_when_each_byte_comes_alone(interim):
    single = [bytes([byte]) for byte in interim + OK]
    with speaker(single, [REFUSED]) as running:
        assert (call(running).status, call(running).status) == (200, 422)


def test_the_final_answer_counts_when_it_comes_later():
    with speaker([HINTS, 0.2, REFUSED], [OK]) as running:
        assert (call(running).status, call(running).status) == (422, 200)


def test_interim_answers_without_end_are_cut_off_by_the_deadline():
    drip: list[Step] = [PROCESSING, 0.05] * 100
    with speaker(drip) as running:
        start = time.monotonic()
        with pytest.raises(http.ReceiverUnreachable, match=r"No whole answer within 0\.4 s"):
            call(running, answer=0.4)
        assert time.monotonic() - start < 1


@pytest.mark.parametrize("interim", [CONTINUE, HINTS])
def test_interim_answers_without_end_are_cut_off_by_their_bytes(interim):
    said = pytest.raises(http.ReceiverUnreachable, match="more than 1,024 KiB without ending its answer")
    with speaker([interim * 60_000, OK]) as running, said:
        call(running, answer=20)


@pytest.mark.parametrize(
    "rest",
    [b"1;" + b"x" * 1000 + b"\r\na\r\n", b"0\r\n" + b"X-Trailer: 1\r\n" * 100],
    ids=["chunks", "trailers"],
)
def test_an_answer_whose_frame_outweighs_its_body_is_cut_off(rest):
    head = b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n"
    with speaker([head, *[rest * 10] * 1000]) as running:
        answer = call(running, answer=20)
    assert answer.status == 500
    assert "more than 1,024 KiB" in answer.incomplete


def test_switching_protocols_is_read_past_and_ends_the_connection():
    with speaker([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + OK], [REFUSED]) as running:
        first, second = call(running), call(running)
    assert (first.status, second.status, running.connections) == (200, 422, 2)


LEFT_BEHIND = {
    "a second answer": OK + OK,
    "one byte": OK + b"\n",
    "half of an answer": OK + b"HTTP/1.1 200 OK\r\nContent-Le",
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: 38\r\n\r\n" + OK,
    "204 in chunks": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "304 with a length": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 38\r\n\r\n",
    "after chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + OK,
}


@pytest.mark.parametrize("answer", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_what_is_left_behind_an_answer_does_not_decide_the_next_delivery(answer):
    with speaker([answer], [REFUSED]) as running:
        first, second = call(running), call(running)
    assert first.status in (200, 204, 304)
    assert (second.status, running.connections) == (422, 2)


UNCERTAIN = {
    "204, its body later": (b"HTTP/1.1 204 No Content\r\nContent-Length: 38\r\n\r\n", OK),
    "304, its body later": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 38\r\n\r\n", OK),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\nok", OK),
    "a list of lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 0, 38\r\nConnection: keep-alive\r\n\r\n", OK),
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK,
    ),
    "a length with an underscore": (b"HTTP/1.1 200 OK\r\nContent-Length: 0_0\r\n\r\n", OK),
    "chunks and something else": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: xchunked\r\n\r\n",
        OK,
    ),
    "chunks in HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK,
    ),
    "a refusal before the body was read": (b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", OK),
    "a header line that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nnonsense\r\nA: b\r\n\r\n", OK),
    "empty lines before it": (b"\r\n\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", OK),
    "a space before a colon": (b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", OK),
    "a length that is folded": (b"HTTP/1.1 200 OK\r\nContent-Length:\r\n 0\r\n\r\n", OK),
    "a length before the first field": (b"HTTP/1.1 200 OK\r\n Content-Length: 0\r\nA: b\r\n\r\n", OK),
    "the same length twice": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", OK),
    "a list of equal lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 0, 0\r\n\r\n", OK),
    "lines that end with LF": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", OK),
    "a CR within a value": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\rContent-Length: 9\r\n\r\n", OK),
    "a NUL within a value": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\0c\r\n\r\n", OK),
    "chunks twice": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", OK),
    "chunks after another coding": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK,
    ),
}


@pytest.mark.parametrize(("now", "later"), UNCERTAIN.values(), ids=UNCERTAIN)
def test_an_answer_whose_end_is_in_doubt_ends_the_connection(now, later, monkeypatch):
    """``later`` comes after the next request is out, when nothing can tell it from an answer to that one."""
    monkeypatch.setattr(http._Connection, "is_connected", True)
    with speaker([now, 0.2, later], [REFUSED]) as running:
        with suppress(http.ReceiverUnreachable):
            call(running, answer=0.15)
        assert call(running).status == 422
    assert running.connections == 2


@pytest.mark.parametrize("now", [now for now, _ in UNCERTAIN.values()], ids=UNCERTAIN)
def test_a_connection_that_is_not_kept_is_closed_at_once_however_far_its_answer_was_read(now, monkeypatch):
    """Not when Python happens to free it: a receiver with few connections would wait for that."""
    opened = []
    monkeypatch.setattr(http._Connection, "open", _noted(http._Connection.open, opened))
    with speaker([now]) as running:
        with suppress(http.ReceiverUnreachable):
            call(running, answer=0.15)
        until(lambda: running.ended == 1, "the end of the connection")
    assert len(opened) == 1


def _noted(method, opened):
    """The method, whose object is kept in ``opened``."""

    def noted(self, *args):
        opened.append(self)
        return method(self, *args)

    return noted


def test_what_comes_between_two_deliveries_ends_the_connection():
    with speaker([OK, 0.05, OK], [REFUSED]) as running:
        first = call(running)
        until(lambda: running.answered, "the whole answer")
        assert (first.status, call(running).status, running.connections) == (200, 422, 2)


def test_a_surplus_that_tls_has_unpacked_already_ends_the_connection(monkeypatch):
    """OpenSSL hands out a record piece by piece: what it still holds makes no socket readable."""
    with speaker([OK], [REFUSED]) as running:
        monkeypatch.setattr(streams, "PlainSocket", _Pending)
        assert (call(running).status, call(running).status, running.connections) == (200, 422, 2)


class _Pending(streams.PlainSocket):
    def pending(self) -> int:
        return 5


def test_a_connection_that_did_not_take_the_whole_request_is_not_kept():
    """The receiver answers and stops reading; its answer counts, the connection has no future."""
    listener = socket.create_server(("127.0.0.1", 0))
    answered = threading.Event()

    def refuse() -> None:
        peer, _ = listener.accept()
        peer.recv(1024)
        peer.sendall(OK)
        answered.wait(5)
        peer.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    send_message = http._Connection.send_message

    def broken(self, *args, **kwargs):
        send_message(self, *args, **kwargs)
        raise BrokenPipeError

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(http._Connection, "send_message", broken)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            assert http.request("POST", url, body=b"{}").status == 200
        assert not http._idle._kept
    finally:
        answered.set()
        thread.join(5)
        listener.close()


ORDINARY = {
    "a length": OK,
    "no body": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("answer", ORDINARY.values(), ids=ORDINARY)
def test_an_ordinary_answer_keeps_the_connection(answer):
    with speaker([answer], [answer], [answer]) as running:
        for _ in range(3):
            call(running)
    assert (running.connections, running.requests) == (1, 3)


def test_a_proxy_that_says_more_than_its_answer_decides_nothing(settings):
    with speaker([b"HTTP/1.1 200 Connection established\r\n\r\n" + OK]) as proxy, Receiver() as receiver:
        receiver.script("/hook", Behaviour(status=422))
        settings.OUTGOING_PROXY = proxy.url
        with pytest.raises(http.LocalFault, match="the proxy sent more than its answer"):
            http.request("POST", receiver.url("/hook"), body=b"{}")
