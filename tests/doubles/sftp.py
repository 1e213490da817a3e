"""asyncssh's SFTP server on loopback, over a folder of the test, in a thread of its own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from tests.doubles.s3 import USERS

USER, PASSWORD = "identity-checks", "of-the-sftp-account-0123456789"
HOST_KEY, CLIENT_KEY = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))


@dataclass
class RunningSftp:
    """``asked``: what each sign-in used, and each file that was opened."""

    folder: Path
    port: int = 0
    fingerprint: str = HOST_KEY.get_fingerprint()
    asked: list[str] = field(default_factory=list)

    def document(self, **values: Any) -> dict[str, Any]:
        base = {
            "host": "127.0.0.1",
            "port": self.port,
            "host_key": self.fingerprint,
            "username": USER,
            "authorization": "password",
            "password": PASSWORD,
            "path": "/users.csv",
        }
        return {name: value for name, value in (base | values).items() if value is not None}


@contextmanager
def running(folder: Path) -> Iterator[RunningSftp]:
    found = RunningSftp(folder)

    class Server(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            found.asked.append("password")
            return (username, password) == (USER, PASSWORD)

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            found.asked.append("key")
            return username == USER and key.get_fingerprint() == CLIENT_KEY.get_fingerprint()

    class Files(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(folder).encode())

        def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
            found.asked.append(f"open {path.decode()}")
            return super().open(path, pflags, attrs)

    loop = asyncio.new_event_loop()

    async def listen() -> Any:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Server, server_host_keys=[HOST_KEY], sftp_factory=Files
        )

    server = loop.run_until_complete(listen())
    found.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:

        async def stop() -> None:
            server.close()
            await server.wait_closed()

        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


__all__ = ["CLIENT_KEY", "PASSWORD", "USERS", "RunningSftp", "running"]
