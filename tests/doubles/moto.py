"""moto's server on loopback: AWS's APIs with their data in memory. It does not check signatures."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from integrations.source_data import SourceSettings
from integrations.sources.shared.aws_call import IAM_VERSION, AwsCall, SignatureV4Auth, stored_credentials
from tests.waiting import is_open, until

KEYS = {
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
REGION = "us-east-1"
# The account of every request.
ACCOUNT = "123456789012"


@contextmanager
def running() -> Iterator[str]:
    """The server of ``MOTO_SERVER`` while the block lasts; gives its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        "HOME": "/nonexistent",
    }
    server = subprocess.Popen(
        [os.environ["MOTO_SERVER"], "-H", "127.0.0.1", "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: is_open(port), "moto's port")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def call_of(url: str, service: str) -> AwsCall:
    """Sends requests to the server, to fill it."""
    settings = {"access_key_id": KEYS["access_key_id"]}
    source = SourceSettings(1, "aws", "aws", settings, {"secret_access_key": KEYS["secret_access_key"]})
    return AwsCall(source, url, service, auth=SignatureV4Auth(stored_credentials(source), REGION))


def ask_iam(url: str, action: str, **parameters: str) -> object:
    form = {"Action": action, "Version": IAM_VERSION, **parameters}
    return call_of(url, "iam").send("POST", "/", limit="iam", form=form)[0].value
