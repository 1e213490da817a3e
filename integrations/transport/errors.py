"""Why a request brought no answer."""

from typing import ClassVar

from integrations.errors import IntegrationError
from integrations.transport.results import Result


class TransportError(IntegrationError):
    """No answer was received that can be used. The message is a sentence without secrets; ``result`` is that of the attempt."""

    result: ClassVar[Result] = Result.RETRYABLE
    status: int | None = None


class RequestRefused(TransportError):
    """The request must not be sent: its URL, a header or an address of the host is not allowed. Permanent."""

    result: ClassVar[Result] = Result.PERMANENT


class ReceiverUnreachable(TransportError):
    """A fault of the receiver or the network that may pass: name, connection, TLS, timeout, half an answer.

    ``status`` is set if a caller that needs the whole answer received only its status.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LocalFault(TransportError):
    """A fault of this machine or its settings: no file handles, no network, a malformed ALLOWED_NETWORKS."""

    result: ClassVar[Result] = Result.OURS
