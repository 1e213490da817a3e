"""A peer that sends a byte now and then never holds a call beyond its deadline, whichever method receives."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import pytest
import trustme

from integrations.transport import streams

LIMIT = 0.4


@contextmanager
def dripping(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that sends a byte each twentieth of a second; yields its port."""
    stop = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with tls.wrap_socket(connection, server_side=True) if tls else connection as peer:
                while not stop.wait(0.05):
                    peer.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            thread.join(5)


def _into(sock: Any, name: str) -> int:
    found = getattr(sock, name)(bytearray(8))
    return int(found[0] if isinstance(found, tuple) else found)


RECEIVE: dict[str, Callable[[Any], Any]] = {
    "recv": lambda sock: sock.recv(8),
    "recv_into": lambda sock: _into(sock, "recv_into"),
    "recvfrom": lambda sock: sock.recvfrom(8)[0],
    "recvfrom_into": lambda sock: _into(sock, "recvfrom_into"),
    "recvmsg": lambda sock: sock.recvmsg(8)[0],
    "recvmsg_into": lambda sock: sock.recvmsg_into([bytearray(8)])[0],
    "makefile().read": lambda sock: sock.makefile("rb").read(1000),
    "makefile().readline": lambda sock: sock.makefile("rb").readline(),
    "makefile(buffering=0).read": lambda sock: sock.makefile("rb", buffering=0).read(8),
}
# The datagram methods are not available on a TLS socket (documented by the ssl module).
TLS_RECEIVE = {
    name: receive for name, receive in RECEIVE.items() if not name.startswith(("recvfrom", "recvmsg"))
} | {
    "read": lambda sock: sock.read(8),
    "read into a buffer": lambda sock: sock.read(8, bytearray(8)),
}


def ends_in_time(sock: Any, receive: Callable[[Any], Any]) -> None:
    start = monotonic()
    sock.deadline = start + LIMIT
    with suppress(TimeoutError):
        while receive(sock) and monotonic() - start < 3 * LIMIT:
            pass
    assert LIMIT <= monotonic() - start < 2 * LIMIT


@pytest.mark.parametrize("receive", RECEIVE.values(), ids=RECEIVE)
def test_every_receive_method_of_a_plain_socket_ends_at_the_deadline(receive):
    with dripping() as port, streams.open_stream("127.0.0.1", port, monotonic() + 5) as sock:
        ends_in_time(sock, receive)


@pytest.mark.parametrize("receive", TLS_RECEIVE.values(), ids=TLS_RECEIVE)
def test_every_receive_method_of_a_tls_socket_ends_at_the_deadline(receive):
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    with dripping(server) as port:
        raw = streams.open_stream("127.0.0.1", port, monotonic() + 5)
        with streams.wrap_tls(raw, "127.0.0.1", client) as sock:
            ends_in_time(sock, receive)


def test_no_method_that_receives_is_left_without_the_deadline():
    """A method that a later Python adds is found here."""
    receiving = {name for name in dir(socket.socket) if name.startswith("recv")}
    assert receiving <= vars(streams.PlainSocket).keys() & vars(streams.TlsSocket).keys()
