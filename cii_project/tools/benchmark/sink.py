"""A receiver that is far faster than any sender: one process, one epoll loop, no HTTP library.

``python -m cii_project.tools.benchmark.sink`` prints its port and serves until its standard input ends; then it
prints what it counted, as JSON. Paths: ``/slow…`` answers after 200 ms, ``/hang…`` never
(and is left out of the count of events), all else at once.
"""

# ruff: noqa: TID251  it is what others connect to

import heapq
import json
import os
import re
import select
import socket
import sys
import time
from collections import Counter

LATENCY = 0.2
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)


class Sink:
    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener.fileno(), select.EPOLLIN)
        self.poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
        self.connections: dict[int, socket.socket] = {}
        self.received: dict[int, bytes] = {}
        self.late: list[tuple[float, int]] = []
        self.ids: Counter[bytes] = Counter()
        # path → requests, time of the first, time of the last
        self.paths: dict[str, list[float]] = {}

    def serve(self) -> None:
        while True:
            wait = max(0.0, self.late[0][0] - time.monotonic()) if self.late else None
            for descriptor, _ in self.poll.poll(wait):
                if descriptor == sys.stdin.fileno():
                    if not os.read(descriptor, 1):
                        return
                elif descriptor == self.listener.fileno():
                    self._accept()
                else:
                    self._read(descriptor)
            now = time.monotonic()
            while self.late and self.late[0][0] <= now:
                self._send(heapq.heappop(self.late)[1])

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[connection.fileno()] = connection
            self.poll.register(connection.fileno(), select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        try:
            data = self.connections[descriptor].recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self._close(descriptor)
            return
        data = self.received.pop(descriptor, b"") + data
        head = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, head) if head >= 0 else None
        if head < 0 or len(data) < head + 4 + (int(length.group(1)) if length else 0):
            self.received[descriptor] = data
            return
        self._count(data, head, descriptor)

    def _count(self, data: bytes, head: int, descriptor: int) -> None:
        path = data[data.index(b" ") + 1 : data.index(b" ", 8)].decode()
        now = time.time()
        seen = self.paths.setdefault(path, [0, now, now])
        seen[0] += 1
        seen[2] = now
        if path.startswith("/hang"):
            return
        if found := _ID.search(data, 0, head):
            self.ids[found.group(1)] += 1
        if path.startswith("/slow"):
            heapq.heappush(self.late, (time.monotonic() + LATENCY, descriptor))
        else:
            self._send(descriptor)

    def _send(self, descriptor: int) -> None:
        try:
            self.connections[descriptor].send(ANSWER)
        except (OSError, KeyError):
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        if connection := self.connections.pop(descriptor, None):
            self.poll.unregister(descriptor)
            connection.close()

    def counted(self) -> dict[str, object]:
        used = os.times()
        return {
            "events": len(self.ids),
            "requests": sum(self.ids.values()),
            "twice": sum(1 for count in self.ids.values() if count > 1),
            "paths": self.paths,
            "cpu": used.user + used.system,
        }


def main() -> None:
    sink = Sink()
    print(sink.listener.getsockname()[1], flush=True)  # noqa: T201  what the starter waits for
    sink.serve()
    print(json.dumps(sink.counted()), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
