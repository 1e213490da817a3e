"""manage.py receiver: a real receiver of our webhooks, on loopback."""

import ipaddress
import os
import ssl
from argparse import ArgumentParser
from math import inf
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cii_project.tools.receiver.certificates import context_of, wrong_context
from cii_project.tools.receiver.contract import contract_problems
from cii_project.tools.receiver.issued_tokens import PATH, TokenEndpoint
from cii_project.tools.receiver.server import Misbehaviour, Receiver, ReceiverServer
from cii_project.tools.receiver.verification import ExpectedCredentials
from integrations.services import SigningSecretError, check_signing_secret


def split_pair(text: str, separator: str, option: str, example: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (found and left and right):
        raise CommandError(f"{option} must look like {example}.")
    return left, right


class Command(BaseCommand):
    help = (
        "Receive webhooks on loopback: check authorization, signature and schema, print one line per event. "
        "Paths that start with /basic, /api-key or /oauth take that authorization only, other paths any of those given. "
        "Everybody on this machine can read a command line: for real secrets set RECEIVER_BASIC, RECEIVER_API_KEY, "
        "RECEIVER_BEARER and RECEIVER_SIGNING_SECRETS (separated by spaces) in the environment instead."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8099, help="0 chooses a free one (default 8099)")
        parser.add_argument("--host", default="127.0.0.1", help="anything but loopback only if named here")
        parser.add_argument("--basic", metavar="USER:PASSWORD", default=os.environ.get("RECEIVER_BASIC"))
        parser.add_argument("--api-key", metavar="HEADER=VALUE", default=os.environ.get("RECEIVER_API_KEY"))
        parser.add_argument(
            "--bearer",
            metavar="CLIENT_ID:CLIENT_SECRET",
            default=os.environ.get("RECEIVER_BEARER"),
            help=f"take bearer tokens that this receiver's own token endpoint, {PATH}, issued to this client",
        )
        parser.add_argument("--token-lifetime", type=int, default=3600, metavar="SECONDS")
        parser.add_argument("--signing-secret", action="append", metavar="whsec_…")
        parser.add_argument(
            "--log", type=Path, metavar="FILE", help="append each request, as it came, as a JSON line"
        )
        parser.add_argument(
            "--no-schema", action="store_true", help="do not validate bodies against the contract"
        )
        wrong = parser.add_argument_group("misbehave")
        wrong.add_argument("--status", type=int, metavar="CODE", help="answer with this status")
        wrong.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="before the answer")
        wrong.add_argument(
            "--drip", type=float, default=0.0, metavar="SECONDS", help="between two bytes of the answer"
        )
        wrong.add_argument("--close", action="store_true", help="hang up without an answer")
        wrong.add_argument("--times", type=int, default=0, metavar="N", help="only for the first N events")
        wrong.add_argument(
            "--certificate-error", action="store_true", help="HTTPS with an expired, foreign certificate"
        )
        tls = parser.add_argument_group("HTTPS")
        tls.add_argument("--tls-certificate", type=Path, metavar="FILE")
        tls.add_argument("--tls-key", type=Path, metavar="FILE")

    def handle(self, *args: object, **options: object) -> None:
        server = self._server(options)
        self._say(f"Receiver listening on {server.url}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            counts = server.receiver.counts
            self._say(
                f"{counts.events} events: {counts.verified} verified, {counts.rejected} rejected, "
                f"{counts.repeats} of them repeats."
            )
        finally:
            server.server_close()

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _server(self, options: dict[str, Any]) -> ReceiverServer:
        endpoint = None
        if options["bearer"]:
            client = split_pair(options["bearer"], ":", "--bearer", "CLIENT_ID:CLIENT_SECRET")
            endpoint = TokenEndpoint(*client, lifetime=options["token_lifetime"])
        if options["basic"]:
            split_pair(options["basic"], ":", "--basic", "USER:PASSWORD")
        api_key = options["api_key"]
        signing_secrets = options["signing_secret"] or os.environ.get("RECEIVER_SIGNING_SECRETS", "").split()
        for secret in signing_secrets:
            self._check_secret(secret)
        self._check_log(options["log"])
        receiver = Receiver(
            expected=ExpectedCredentials(
                basic=options["basic"],
                api_key=split_pair(api_key, "=", "--api-key", "HEADER=VALUE") if api_key else None,
                knows_token=endpoint.knows if endpoint else None,
                signing_secrets=signing_secrets,
                schema_problems=None if options["no_schema"] else contract_problems,
            ),
            misbehaviour=self._misbehaviour(options),
            endpoint=endpoint,
            log=options["log"],
            say=self._say,
        )
        try:
            return ReceiverServer(self._host(options["host"]), options["port"], receiver, self._tls(options))
        except (OSError, OverflowError) as error:
            text = f"Cannot listen on {options['host']} port {options['port']}: {str(error).rstrip('.')}. Choose another --port."
            raise CommandError(text) from error

    def _check_secret(self, secret: str) -> None:
        try:
            check_signing_secret(secret)
        except SigningSecretError as error:
            raise CommandError(f"--signing-secret: {error}") from error

    def _check_log(self, log: Path | None) -> None:
        try:
            if log:
                os.close(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        except OSError as error:
            raise CommandError(f"--log {log} cannot be written: {error.strerror}.") from error

    def _misbehaviour(self, options: dict[str, Any]) -> Misbehaviour:
        status = options["status"]
        if status is not None and not 200 <= status <= 599:
            raise CommandError("--status must be between 200 and 599.")
        for name in ("delay", "drip", "times"):
            if not 0 <= options[name] < inf:
                raise CommandError(f"--{name} must not be negative.")
        return Misbehaviour(status, options["delay"], options["drip"], options["close"], options["times"])

    def _host(self, host: str) -> str:
        try:
            loopback = host == "localhost" or ipaddress.IPv4Address(host).is_loopback
        except ValueError as error:
            raise CommandError("--host must be an IPv4 address, such as 127.0.0.1.") from error
        if not loopback:
            self.stderr.write(f"Listening on {host}: others on the network can reach this receiver.")
        return host

    def _tls(self, options: dict[str, Any]) -> ssl.SSLContext | None:
        if options["certificate_error"]:
            return wrong_context()
        if options["tls_certificate"] is None:
            return None
        try:
            return context_of(options["tls_certificate"], options["tls_key"])
        except OSError as error:
            raise CommandError(f"The certificate cannot be read: {error}") from error
