"""Hosts with addresses of their own: network namespaces on a bridge, and forwarders to what listens on loopback."""

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

from tests.faults.processes import Process


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Host:
    namespace: str
    address: str

    def manage(self, log: Path, *arguments: str, environment: Mapping[str, str]) -> Process:
        """``manage.py`` as a process of this host."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        command = ["ip", "netns", "exec", self.namespace, "env", *settings, sys.executable, "manage.py"]
        return Process([*command, *arguments], log, ready="ready for work")


@dataclass(frozen=True)
class Net:
    """``address`` is this machine's on the bridge; all of ``network`` can reach it."""

    network: str
    address: str
    hosts: tuple[Host, ...]


@contextmanager
def hosts(count: int) -> Iterator[Net]:
    """So many hosts for the block. All is removed at its end, however it ends."""
    number = os.getpid()
    prefix = f"10.{200 + number // 250 % 50}.{number % 250}"
    bridge = f"ci{number}"
    with ExitStack() as undo:
        ip("link", "add", bridge, "type", "bridge")
        undo.callback(ip, "link", "del", bridge)
        ip("addr", "add", f"{prefix}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        made = []
        for place in range(count):
            host = Host(f"{bridge}n{place}", f"{prefix}.{10 + place}")
            ip("netns", "add", host.namespace)
            undo.callback(ip, "netns", "del", host.namespace)
            ours, theirs = f"{bridge}v{place}", f"{bridge}w{place}"
            ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", host.namespace)
            ip("link", "set", ours, "master", bridge, "up")
            inside = ("-n", host.namespace)
            ip(*inside, "addr", "add", f"{host.address}/24", "dev", theirs)
            ip(*inside, "link", "set", theirs, "up")
            ip(*inside, "link", "set", "lo", "up")
            made.append(host)
        yield Net(f"{prefix}.0/24", f"{prefix}.1", tuple(made))


class _Forward(BaseRequestHandler):
    server: "_Forwarder"

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection(self.server.to) as there:
            other = {self.request: there, there: self.request}
            while True:
                for ready in select.select(list(other), [], [])[0]:
                    piece = ready.recv(1 << 16)
                    if not piece:
                        return
                    other[ready].sendall(piece)


class _Forwarder(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64
    to: tuple[str, int]


@contextmanager
def forwarded(address: str, to: tuple[str, int]) -> Iterator[int]:
    """A port on ``address`` that leads to ``to``."""
    with _Forwarder((address, 0), _Forward) as server:
        server.to = to
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
