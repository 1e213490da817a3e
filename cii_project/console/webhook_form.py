"""The webhook's form: flat fields and rows of parameters ↔ the nested document that the kind validates.

All rules stand in the kind (``integrations/targets/webhook.py``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crispy_forms.layout import HTML, Fieldset
from django.http import QueryDict

from cii_project.console import integrations_forms as make
from cii_project.console.form_parts import pair, when
from cii_project.console.integrations_forms import KEEP, IntegrationForm
from integrations.models import Integration
from integrations.targets import presets
from integrations.targets.base import Document

WHERE = (("header", "Header"), ("query", "Query string"), ("body", "Body"))
CLIENT = (("body", "in the form body"), ("basic", "by HTTP Basic"))
AUTHORIZATION = (("basic", "Basic"), ("api_key", "API key"), ("oauth", "OAuth client credentials"))

# Path in the document → field of the form.
PATHS = {
    "authorization.type": "authorization",
    "authorization.username": "username",
    "authorization.password": "password",
    "authorization.name": "header_name",
    "authorization.value": "header_value",
    "authorization.endpoint": "endpoint",
    "authorization.method": "token_method",
    "authorization.client_authentication": "client_authentication",
    "authorization.client_id": "client_id",
    "authorization.client_secret": "client_secret",
    "signing.enabled": "signing_enabled",
    "signing.secret": "signing_secret",
    "timeouts.connect": "timeout_connect",
    "timeouts.answer": "timeout_answer",
    "tls.ca": "ca",
    "tls.client_certificate": "client_certificate",
    "tls.client_key": "client_key",
    "body.template": "template",
    "body.users_per_request": "users_per_request",
    **IntegrationForm.paths,
}


# The gallery's cards of the webhook: as it is, and filled in for receivers that take it as it is.
CARDS = (
    presets.Preset("webhook", "Webhook", "JSON over HTTP to any receiver: SOAR, SIEM or your own.", {}, {}),
    *presets.PRESETS,
)


@dataclass(slots=True)
class Row:
    """One parameter as the page shows it; ``value`` is empty for a secret that is stored."""

    where: str = "header"
    name: str = ""
    value: str = ""
    secret: bool = False
    stored: bool = False
    error: str = ""
    hint: str = ""


@dataclass(slots=True)
class Rows:
    """A list of parameters: of the call (``call``) or of the token request (``token``)."""

    prefix: str
    path: str
    rows: list[Row] = field(default_factory=list)
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def posted(
        cls, prefix: str, path: str, data: QueryDict, stored: Mapping[str, Mapping[str, Any]]
    ) -> "Rows":
        numbers = [key.rpartition("-")[2] for key in data if key.startswith(f"{prefix}-name-")]
        rows = []
        for number in numbers:
            get = {part: data.get(f"{prefix}-{part}-{number}", "") for part in ("where", "name", "value")}
            row = Row(
                get["where"], get["name"].strip(), get["value"], f"{prefix}-secret-{number}" in data,
                f"{prefix}-stored-{number}" in data,
            )  # fmt: skip
            if row.name or row.value:
                rows.append(row)
        return cls(prefix, path, rows, stored)

    @classmethod
    def stored(
        cls, prefix: str, path: str, parameters: Mapping[str, Mapping[str, Any]], *, kept: bool = True
    ) -> "Rows":
        """``kept``: a secret among them is stored; else it is still to be written."""
        rows = []
        for where, values in parameters.items():
            for name, value in values.items():
                secret = isinstance(value, Mapping)
                rows.append(Row(where, name, "" if secret else _shown(value), secret, secret and kept))
        return cls(prefix, path, rows)

    def document(self) -> dict[str, dict[str, Any]]:
        """The lists by place; notes a name that stands twice, since a mapping cannot hold it."""
        found: dict[str, dict[str, Any]] = {where: {} for where, _ in WHERE}
        for row in self.rows:
            place = found.get(row.where)
            if place is None:
                row.error = "Choose header, query string or body."
            elif row.name in place:
                row.error = "This name stands here twice."
            else:
                place[row.name] = {"value": row.value, "secret": True} if row.secret else self._typed(row)
        return found

    def _typed(self, row: Row) -> Any:
        """A number or truth value that a file has set stays one while its text is left alone."""
        before = self.kept.get(row.where, {}).get(row.name)
        return before if before is not None and _shown(before) == row.value else row.value

    def place_error(self, path: str, text: str) -> bool:
        """Whether ``path`` names one of these rows."""
        if not path.startswith(f"{self.path}."):
            return False
        where, _, name = path.removeprefix(f"{self.path}.").partition(".")
        for row in self.rows:
            if row.where == where and row.name == name:
                row.error = text
                return True
        return False

    @property
    def errors(self) -> list[str]:
        return [row.error for row in self.rows if row.error]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class WebhookForm(IntegrationForm):
    url = make.text("URL", inputmode="url", placeholder="https://")
    method = make.choice("Method", [(m, m) for m in ("POST", "PUT", "PATCH")])
    authorization = make.choice("Authorization", AUTHORIZATION, switch="authorization")
    username = make.text("User name")
    password = make.secret("Password")
    header_name = make.text("Header name", "Such as x-api-key.")
    header_value = make.secret("Header value")
    endpoint = make.text("Authorization endpoint", "Where a token is asked for.", placeholder="https://")
    token_method = make.choice("Its method", [(m, m) for m in ("POST", "PUT", "GET")])
    client_authentication = make.choice("The client authenticates", CLIENT)
    client_id = make.text("Client id")
    client_secret = make.secret("Client secret")
    signing_enabled = make.flag("Sign each request (Standard Webhooks)")
    signing_secret = make.secret(
        "Signing secret", "whsec_…; leave empty to have one made, shown once after saving."
    )
    template = make.lines(
        "Template",
        "Empty: the events of the contract. Else Liquid that makes JSON; the filter json writes a value with its quotes.",
        '{"text": {{ detail.title | json }}, "users": {{ detail.usersFailing | json }}}',
    )
    users_per_request = make.number(
        "Users in one request, at most", "1: one request a user. Empty: as many as Settings allow."
    )
    timeout_connect = make.number("Seconds to connect", "Up to 30.", whole=False)
    timeout_answer = make.number("Seconds to answer", "Up to 30.", whole=False)
    ca = make.pem(
        "Certificate authority", "PEM of a private one that the receiver's certificate is signed by."
    )
    client_certificate = make.pem("Client certificate", "PEM, for receivers that ask for one.")
    client_key = make.pem("Its private key")

    paths = PATHS
    where = WHERE

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        integration: Integration | None = None,
        preset: str = "webhook",
    ) -> None:
        found = presets.get(preset)
        stored: Mapping[str, Any] = integration.settings if integration else found.document if found else {}
        of_call = stored.get("parameters", {})
        of_token = stored.get("authorization", {}).get("parameters", {})
        token_path = "authorization.parameters"  # noqa: S105  a path in the document
        if data is not None:
            self.call = Rows.posted("call", "parameters", data, of_call)
            self.token = Rows.posted("token", token_path, data, of_token)
        else:
            self.call = Rows.stored("call", "parameters", of_call, kept=integration is not None)
            self.token = Rows.stored("token", token_path, of_token)
        named = {"name": found.label} if found and not integration else {}
        super().__init__(data, integration=integration, initial=_initial(stored) | named)
        if integration:
            self._mark_stored(stored)
        elif found:
            self.label = found.label
            self._ask(found)

    def _ask(self, preset: presets.Preset) -> None:
        """Say what the receiver's secret is, beside the field or row that takes it."""
        for path, words in preset.ask.items():
            if name := PATHS.get(path):
                self.fields[name].help_text = words
            for row in self.call.rows:
                if path == f"parameters.{row.where}.{row.name}":
                    row.hint = words

    def _mark_stored(self, stored: Mapping[str, Any]) -> None:
        kept = {"basic": "password", "api_key": "header_value", "oauth": "client_secret"}
        names = [kept.get(stored.get("authorization", {}).get("type", ""), "")]
        if stored.get("tls", {}).get("client_certificate"):
            names.append("client_key")
        for name in filter(None, names):
            self.fields[name].help_text = KEEP
        self.fields[
            "signing_secret"
        ].help_text = "Write one only to replace it: the old one stays valid for a day."

    def parts(self) -> list[Any]:
        return [
            Fieldset("Where it sends", "url", "method"),
            Fieldset(
                "How it is authorized",
                "authorization",
                when("authorization", ["basic"], pair("username", "password")),
                when("authorization", ["api_key"], pair("header_name", "header_value")),
                when(
                    "authorization",
                    ["oauth"],
                    "endpoint",
                    pair("token_method", "client_authentication"),
                    pair("client_id", "client_secret"),
                    HTML('<h3 class="c-legend">Parameters of the token request</h3>'),
                    _rows("token"),
                ),
            ),
            Fieldset("Parameters of each request", _rows("call")),
            Fieldset(
                "Body",
                "template",
                HTML('{% include "console/integrations/body_preview.html" %}'),
                "users_per_request",
            ),
            Fieldset("Signature", "signing_enabled", "signing_secret"),
        ]

    def rare(self) -> list[Any]:
        return [
            pair("timeout_connect", "timeout_answer"),
            "ca",
            pair("client_certificate", "client_key"),
        ]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        used = [self.call, self.token] if given.get("authorization") == "oauth" else [self.call]
        for rows in used:
            rows.document()
            if rows.errors:
                self.add_error(None, "Correct the parameters marked below.")
        return given

    def document(self) -> Document:
        given = {name: self.cleaned_data.get(name) for name in self.fields}
        kind = given["authorization"] or "basic"
        credentials: dict[str, Any] = {
            "basic": {"username": given["username"], "password": given["password"]},
            "api_key": {"name": given["header_name"], "value": given["header_value"]},
            "oauth": {
                "endpoint": given["endpoint"],
                "method": given["token_method"] or None,
                "client_authentication": given["client_authentication"] or None,
                "client_id": given["client_id"],
                "client_secret": given["client_secret"],
            },
        }[kind]
        if kind == "oauth":
            credentials["parameters"] = self.token.document()
        return {
            "url": given["url"],
            "method": given["method"] or None,
            "authorization": {"type": kind, **credentials},
            "parameters": self.call.document(),
            "signing": {"enabled": bool(given["signing_enabled"]), "secret": given["signing_secret"] or None},
            "timeouts": {"connect": given["timeout_connect"], "answer": given["timeout_answer"]},
            "body": {name: given[name] for name in ("template", "users_per_request")},
            "tls": {name: given[name] for name in ("ca", "client_certificate", "client_key")},
        }

    def place_errors(self, errors: Mapping[str, str]) -> None:
        """As for every form, and each error of a parameter beside its row."""
        super().place_errors(
            {
                path: problem
                for path, problem in errors.items()
                if not (self.call.place_error(path, problem) or self.token.place_error(path, problem))
            }
        )


def _initial(stored: Mapping[str, Any]) -> dict[str, Any]:
    auth, times, tls, body = (stored.get(part, {}) for part in ("authorization", "timeouts", "tls", "body"))
    return {
        "url": stored.get("url"),
        "method": stored.get("method"),
        "authorization": auth.get("type"),
        "username": auth.get("username"),
        "header_name": auth.get("name"),
        "endpoint": auth.get("endpoint"),
        "token_method": auth.get("method"),
        "client_authentication": auth.get("client_authentication"),
        "client_id": auth.get("client_id"),
        "signing_enabled": stored.get("signing", {}).get("enabled", True),
        "timeout_connect": times.get("connect", 5),
        "timeout_answer": times.get("answer", 5),
        "ca": tls.get("ca"),
        "client_certificate": tls.get("client_certificate"),
        "template": body.get("template"),
        "users_per_request": body.get("users_per_request"),
    }


def _rows(name: str) -> HTML:
    return HTML(f'{{% include "console/integrations/rows.html" with rows=form.{name} where=form.where %}}')
