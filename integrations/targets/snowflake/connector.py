"""Statements by the official Snowflake connector, an optional extra: ``pip install -e '.[snowflake]'``.

Its connections are opened by native code that accepts no socket, but a proxy: relay.py's, which leads through the
transport to the account's host only, and ends all of them at the deadline.
"""

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import certifi

from integrations.errors import IntegrationError
from integrations.json_types import JsonObject
from integrations.transport.relay import USER, Relay, relay

NO_DETECTION = "SNOWFLAKE_DISABLE_PLATFORM_DETECTION"
INSTALL = "pip install -e '.[snowflake]'"
Execute = Callable[[str, list[str]], None]

# It would log statements and addresses.
logging.getLogger("snowflake").setLevel(logging.CRITICAL)


class ConnectorMissing(IntegrationError):
    """The official connector is not installed."""


class ConnectorError(IntegrationError):
    """Snowflake refused, or did not answer. ``code`` has six digits, or is empty without an answer; ``refused``: a statement."""

    def __init__(self, code: str, message: str, refused: bool) -> None:
        super().__init__(message)
        self.code, self.refused = code, refused


@dataclass(frozen=True, slots=True)
class Login:
    """``where`` has database, schema, warehouse and, if set, role; ``ca`` is PEM or empty; ``connect`` and ``answer`` are seconds."""

    host: str
    port: int
    account: str
    user: str
    private_key: str = field(repr=False)
    where: dict[str, str]
    ca: str = ""
    connect: float = 5
    answer: float = 30


def is_installed() -> bool:
    """Whether the official connector can be imported."""
    try:
        return find_spec("snowflake.connector") is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def snowflake_session(login: Login) -> Iterator[Execute]:
    """Signed in as long as the block lasts; what it yields runs a statement with its values in place of the ``?``.

    Raises :class:`ConnectorError`, :class:`ConnectorMissing`, or :class:`~integrations.transport.http.TransportError` where no connection came about.
    """
    connector = _connector()
    seconds = login.connect + login.answer
    with (
        relay(login.host, login.port, connect=login.connect, seconds=seconds) as proxy,
        _authorities(login.ca) as authorities,
    ):

        def run(statement: str, values: list[str]) -> None:
            with _connector_errors(connector, proxy, seconds), closing(connection.cursor()) as cursor:
                cursor.execute(statement, values)

        given = _options(login) | {
            "proxy_host": "127.0.0.1",
            "proxy_port": proxy.server_port,
            "proxy_user": USER,
            "proxy_password": proxy.password,
            "custom_root_store_path": authorities,
        }
        with _connector_errors(connector, proxy, seconds):
            connection = connector.connect(**given)
        try:
            yield run
        finally:
            # The rows are merged by now: an error of the sign-out changes nothing.
            with suppress(connector.errors.Error):
                connection.close()


@contextmanager
def _connector_errors(connector: ModuleType, proxy: Relay, seconds: float) -> Iterator[None]:
    try:
        yield
    except connector.errors.Error as error:
        if proxy.problem is not None:
            raise proxy.problem from error
        if proxy.is_late:
            raise ConnectorError("", f"No whole answer within {seconds:g} s.", False) from error
        code = f"{error.errno:06d}" if isinstance(error.errno, int) and error.errno > 0 else ""
        refused = isinstance(error, connector.errors.ProgrammingError)
        raise ConnectorError(code, str(error.msg or error), refused) from error


def _connector() -> ModuleType:
    if not is_installed():
        raise ConnectorMissing(f"The official Snowflake connector is not installed: {INSTALL}")
    # Otherwise it requests 169.254.169.254 and metadata.google.internal, past any proxy, to detect the cloud.
    if os.environ.get(NO_DETECTION) != "true":
        os.environ[NO_DETECTION] = "true"
    # Imported late: it starts threads, which would not survive a fork of the worker.
    return import_module("snowflake.connector")


def _options(login: Login) -> JsonObject:
    whole = math.ceil(login.connect + login.answer)
    return {
        "account": login.account,
        "user": login.user,
        "authenticator": "SNOWFLAKE_JWT",
        "private_key": login.private_key,
        "host": login.host,
        "port": login.port,
        "protocol": "https",
        **login.where,
        "paramstyle": "qmark",
        "use_proxy_env": False,
        "no_proxy": "",
        "connect_timeout": math.ceil(login.connect),
        "login_timeout": whole,
        "query_timeout": whole,
        "request_timeout": whole,
        "retry_timeout": whole,
        # Delivery tries again, by its own rules.
        "retry_max_attempts": 1,
        "logout_max_attempts": 1,
        "enable_server_session_keep_alive_auto_detection": False,
        "client_store_temporary_credential": False,
        "session_parameters": {
            "CLIENT_TELEMETRY_ENABLED": False,
            "STATEMENT_TIMEOUT_IN_SECONDS": whole,
        },
    }


@contextmanager
def _authorities(ca: str) -> Iterator[str]:
    """A file of the trusted authorities: the public ones and, if set, the target's own."""
    if not ca:
        yield certifi.where()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ca.pem"
        path.write_text(Path(certifi.where()).read_text() + "\n" + ca)
        yield str(path)
