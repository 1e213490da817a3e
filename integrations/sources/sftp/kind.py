"""A file on an SFTP server (docs/sources/sftp.md), whose host key is pinned."""

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase

from requests.auth import AuthBase

from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources.shared.file_call import FileCall, OpenFile
from integrations.sources.shared.file_fields import READING_FIELDS
from integrations.sources.shared.file_source import FileDownload, Step
from integrations.sources.shared.source_call import fault_of_transport
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field
from integrations.transport.http import TransportError
from integrations.transport.sftp import (
    HostKeyRefused,
    RemoteFile,
    SftpConnection,
    SftpDisconnected,
    SftpRefused,
    SftpServer,
)

# A file that was changed less than this many seconds ago may still be written.
SETTLED_SECONDS = 60
CONNECT_SECONDS = 15.0
FAULTS = {"sign_in": Fault.CREDENTIAL, "missing": Fault.GONE, "denied": Fault.PERMISSION}


class SftpFile(FileDownload):
    slug = "sftp"
    label = "File over SFTP"
    summary = "A CSV or JSON file, or the newest one of a folder, on an SFTP server."
    provider = "FILE"
    position = 84
    form_fields = (
        Field(path="host", label="Server", widget="host"),
        Field(path="port", label="Port", widget="number", whole=True, least=1, most=65_535, default=22),
        Field(
            path="host_key",
            label="Host key",
            help="The fingerprint of the server's key. Left empty, Test connectivity shows it and no sync starts.",
            required=False,
            pattern=r"SHA256:[A-Za-z0-9+/]{43}",
            hint="Write the fingerprint as ssh-keygen -l shows it: SHA256: and 43 characters.",
        ),
        Field(path="username", label="User name"),
        Field(
            path="authorization",
            label="Authorization",
            widget="select",
            choices=(("key", "Private key"), ("password", "Password")),
            default="key",
        ),
        Field(path="password", label="Password", secret=True, when=("authorization", ("password",))),
        Field(
            path="private_key",
            label="Private key",
            help="OpenSSH or PEM. One with a passphrase: PKCS#8 (ssh-keygen -p -m PKCS8).",
            widget="pem",
            secret=True,
            when=("authorization", ("key",)),
        ),
        Field(
            path="passphrase",
            label="Passphrase of the key",
            secret=True,
            required=False,
            when=("authorization", ("key",)),
        ),
        Field(
            path="path",
            label="Path",
            help="Such as /exports/users.csv; or with * in the last part for the newest match: /exports/*.csv.",
            most=1_024,
        ),
        *READING_FIELDS,
    )
    steps = (
        "On the server, create an account for this source that may read the folder of the file and nothing else, with SFTP alone.",
        "Store a public key for it, or give it a password.",
        "Ask the server's administrator for the fingerprint of its host key (ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub).",
        "Enter all of it here, save and test: Test connectivity shows the host key, the columns and which field each becomes.",
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        super().check(reader, settings, secrets)
        folder, _, name = str(settings.get("path", "")).rpartition("/")
        if "*" in folder or not name:
            reader.add_error("path", "Write * in the last part only, and a name in it.")

    def call(self, source: SourceSettings, auth: AuthBase | None) -> "SftpCall":
        return SftpCall(source)

    def steps_to_file(self, call: "SftpCall") -> Sequence[Step]:
        def sign_in() -> str:
            call.connect()
            return ""

        return [("Host key and sign-in", sign_in)]

    def open_file(self, call: "SftpCall", known_version: JsonMapping) -> OpenFile | None:
        connection = call.connect()
        with call.faults():
            found = call.find(connection)
            version = {"path": found.path, "size": found.size, "modified": found.modified}
            if version == {name: known_version.get(name) for name in version}:
                return None
            if abs(time.time() - found.modified) < SETTLED_SECONDS:
                text = f"{found.path} was changed less than a minute ago: it may still be written."
                raise SourceFault(text, Fault.TEMPORARY, wait=SETTLED_SECONDS)
            connection.open(found.path)
        return OpenFile(
            name=found.path.rpartition("/")[2],
            read=_WholeFile(call, connection, found).read,
            close=call.disconnect,
            version=version,
        )


class _WholeFile:
    """Reads the open file to its end, and compares it then with what it was at the start."""

    def __init__(self, call: "SftpCall", connection: SftpConnection, file: RemoteFile) -> None:
        self.call, self.connection, self.file, self.size = call, connection, file, 0

    def read(self, size: int) -> bytes:
        with self.call.faults():
            piece = self.connection.read(size)
            self.size += len(piece)
            if not piece and (
                self.size != self.file.size or self.connection.stat(self.file.path) != self.file
            ):
                text = f"{self.file.path} was changed, or not sent to its end, while it was read."
                raise SourceFault(text, Fault.EXPIRED)
        return piece


class SftpCall(FileCall):
    """The connection of one worker with the server."""

    def __init__(self, source: SourceSettings) -> None:
        super().__init__(source)
        self.path = str(source.settings["path"])
        self._source = source
        self._connection: SftpConnection | None = None

    def connect(self) -> SftpConnection:
        """The open connection, or a new one. Raises :class:`~integrations.source_data.SourceFault`."""
        settings, secrets = self._source.settings, self._source.secrets
        if self._connection is None:
            server = SftpServer(
                settings["host"],
                int(settings["port"]),
                settings["username"],
                settings.get("host_key", ""),
                str(secrets.get("password", "")),
                str(secrets.get("private_key", "")),
                str(secrets.get("passphrase", "")),
                connect=CONNECT_SECONDS,
            )
            with self.faults():
                self._connection = SftpConnection(server)
        return self._connection

    def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        super().close()
        self.disconnect()

    def find(self, connection: SftpConnection) -> RemoteFile:
        """The file of the path, or the newest one that matches it."""
        folder, _, name = self.path.rpartition("/")
        if "*" not in name:
            return connection.stat(self.path)
        folder = folder or ("/" if self.path.startswith("/") else ".")
        pattern = "".join(f"[{each}]" if each in "?[" else each for each in name)
        matching = [
            each
            for each in connection.files(folder)
            if each.size and fnmatchcase(each.path.rpartition("/")[2], pattern)
        ]
        if not matching:
            raise SourceFault(f"No file matches {self.path}.", Fault.GONE)
        return max(matching, key=lambda each: (each.modified, each.path))

    def faults(self) -> "_SftpFaults":
        return _SftpFaults(self)


class _SftpFaults:
    """Raises errors of the block as :class:`~integrations.source_data.SourceFault`."""

    def __init__(self, call: SftpCall) -> None:
        self.call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case HostKeyRefused() if self.call.options.get("host_key"):
                text = f"{error} It is not the one that is entered, so nothing was sent. Compare it with the server's administrator."
                raise SourceFault(text, Fault.PERMISSION) from None
            case HostKeyRefused():
                text = f"{error} Compare it with the server's administrator, then enter it as Host key."
                raise SourceFault(text, Fault.PERMISSION) from None
            case SftpRefused():
                raise SourceFault(
                    self.call.shown(str(error)), FAULTS.get(error.what, Fault.REFUSED)
                ) from None
            case SftpDisconnected():
                raise SourceFault(str(error), Fault.TEMPORARY) from None
            case TransportError():
                raise SourceFault(str(error), fault_of_transport(error)) from error
