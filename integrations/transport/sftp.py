"""Reading files over SFTP: resolved, checked and dialled as an HTTP request, with a pinned host key, within deadlines.

asyncssh speaks SSH over the socket that http.py opened, so the rules about networks hold. It is pure Python, needs the
library of cryptography that the product has already, and accepts a socket. Nothing of the machine's user is read: no
configuration, no known hosts, no agent, no keys. The password or key is used only after the host key is the pinned one.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

import asyncssh

from integrations.errors import IntegrationError
from integrations.transport import streams
from integrations.transport.addresses import parse_url

MOST_FILES = 100_000
CLOSE_SECONDS = 2.0
T = TypeVar("T")


class SftpRefused(IntegrationError):
    """The server refused a sign-in or an operation. ``what``: sign_in, missing, denied or other."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(text)
        self.what = what


class HostKeyRefused(IntegrationError):
    """The server's host key is not the pinned one. ``shown``: its fingerprint, such as SHA256:…."""

    def __init__(self, shown: str) -> None:
        super().__init__(f"The server shows the host key {shown}.")
        self.shown = shown


class SftpDisconnected(IntegrationError):
    """The connection ended or did not answer in time. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class SftpServer:
    """A server and the account that reads it, by password or by private key (PEM or OpenSSH). ``host_key``: the fingerprint
    of its key. ``connect``: seconds to dial and sign in; ``answer``: seconds for all that follows."""

    host: str
    port: int
    username: str
    host_key: str
    password: str = field(repr=False, default="")
    private_key: str = field(repr=False, default="")
    passphrase: str = field(repr=False, default="")
    connect: float = 15
    answer: float = 600


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file by its path; ``modified`` in epoch seconds."""

    path: str
    size: int
    modified: int


class _Pinned(asyncssh.SSHClient):
    """Accepts the one host key."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint, self.shown = fingerprint, ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = key.get_fingerprint()
        return bool(self.fingerprint) and self.shown == self.fingerprint


class SftpConnection:
    """One connection, signed in."""

    def __init__(self, server: SftpServer) -> None:
        """Dial, check the host key, sign in. Raises :class:`~integrations.transport.http.TransportError`,
        :class:`HostKeyRefused`, :class:`SftpRefused` and :class:`SftpDisconnected`."""
        self.server = server
        host = parse_url(f"https://{server.host}:{server.port}/").host
        self._deadline = monotonic() + server.connect
        with streams.connection_errors(host, server.connect, f"{host} speaks no SSH at port {server.port}."):
            sock = streams.open_async_stream(host, server.port, self._deadline)
        self._loop = asyncio.new_event_loop()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._pinned = _Pinned(server.host_key)
        try:
            self._connection = self._run(self._sign_in(sock))
            self._sftp: asyncssh.SFTPClient = self._run(self._start_sftp(self._connection))
        except BaseException:
            sock.close()
            self.close()
            raise
        self._deadline = monotonic() + server.answer
        self._file: asyncssh.SFTPClientFile | None = None

    def files(self, folder: str) -> Sequence[RemoteFile]:
        """The files in a folder. Raises as the constructor does."""
        return self._run(self._list(folder))

    def stat(self, path: str) -> RemoteFile:
        return self._run(self._stat(path))

    def open(self, path: str) -> None:
        """Open the file that :meth:`read` reads."""
        self._file = self._run(self._opened(path))

    def read(self, size: int) -> bytes:
        """The next bytes of the open file; b"" after the last."""
        assert self._file is not None  # noqa: S101  open() came before
        return self._run(self._read(self._file, size))

    def close(self) -> None:
        """End the connection, whatever the server does."""
        connection, self._connection = self._connection, None
        if self._loop.is_closed():
            return
        self._deadline = monotonic() + CLOSE_SECONDS
        try:
            if connection is not None:
                connection.abort()
                self._run(connection.wait_closed())
        except IntegrationError:
            pass
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _sign_in(self, sock: Any) -> asyncssh.SSHClientConnection:
        server = self.server
        keys: list[asyncssh.SSHKey] | None = None
        if server.private_key:
            try:
                keys = [asyncssh.import_private_key(server.private_key, server.passphrase or None)]
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                raise SftpRefused("sign_in", f"The private key cannot be used: {error}.") from None
        return await asyncssh.connect(
            server.host,
            server.port,
            sock=sock,
            client_factory=lambda: self._pinned,
            username=server.username,
            password=server.password or None,
            client_keys=keys,
            # An empty list of known hosts asks the client factory; None would trust every key.
            known_hosts=([], [], []),
            config=[],
            agent_path=None,
            preferred_auth="publickey" if keys else "password,keyboard-interactive",
            compression_algs=None,
            login_timeout=server.connect,
        )

    async def _start_sftp(self, connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
        return await connection.start_sftp_client()

    async def _read(self, file: asyncssh.SFTPClientFile, size: int) -> bytes:
        # Bytes: the file is open in binary mode.
        data: bytes = await file.read(size)
        return data

    async def _list(self, folder: str) -> Sequence[RemoteFile]:
        found: list[RemoteFile] = []
        async for entry in self._sftp.scandir(folder):
            if len(found) >= MOST_FILES:
                raise SftpRefused("other", f"The folder holds more than {MOST_FILES:,} files.")
            name = (
                entry.filename if isinstance(entry.filename, str) else entry.filename.decode(errors="replace")
            )
            if entry.attrs.type in (asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN):
                path = f"{folder.rstrip('/')}/{name}" if folder not in ("", ".") else name
                found.append(RemoteFile(path, entry.attrs.size or 0, entry.attrs.mtime or 0))
        return found

    async def _stat(self, path: str) -> RemoteFile:
        attrs = await self._sftp.stat(path)
        return RemoteFile(path, attrs.size or 0, attrs.mtime or 0)

    async def _opened(self, path: str) -> asyncssh.SFTPClientFile:
        opened: asyncssh.SFTPClientFile = await self._sftp.open(path, "rb")
        return opened

    def _run(self, work: Coroutine[object, None, T]) -> T:
        """The result of an operation within the deadline."""
        left = self._deadline - monotonic()
        try:
            return self._loop.run_until_complete(asyncio.wait_for(work, max(left, 0.0)))
        except TimeoutError:
            raise SftpDisconnected("The server did not answer in time.") from None
        except asyncssh.HostKeyNotVerifiable:
            raise HostKeyRefused(self._pinned.shown) from None
        except asyncssh.PermissionDenied:
            raise SftpRefused(
                "sign_in", "The server does not accept the user name, password or key."
            ) from None
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            raise SftpRefused("missing", "There is no such file or folder.") from None
        except asyncssh.SFTPPermissionDenied:
            raise SftpRefused("denied", "The account may not read it.") from None
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise SftpDisconnected("The server ended the connection.") from None
        except asyncssh.SFTPError as error:
            raise SftpRefused("other", f"The server refused it ({type(error).__name__}).") from None
        except (asyncssh.Error, OSError) as error:
            raise SftpDisconnected(f"The connection broke ({type(error).__name__}).") from None
