"""The webhook's form: flat fields and rows of parameters ↔ the nested document that the kind validates.

All rules are in the kind (``integrations/targets/webhook/kind.py``).
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from crispy_forms.layout import HTML, Fieldset
from django.http import QueryDict

from cii_project.console.core import setting_widgets, unsaved_secrets
from cii_project.console.core.form_parts import field_pair, shown_when
from cii_project.console.integrations.target_forms import KEEP, KEEP_URL, IntegrationForm
from integrations import services
from integrations.models import Integration
from integrations.services import Document, JsonMapping

PARAMETER_PLACES = (("header", "Header"), ("query", "Query string"), ("body", "Body"))
CLIENT_AUTHENTICATION = (("body", "in the form body"), ("basic", "by HTTP Basic"))
AUTHORIZATION = (
    ("basic", "Basic"),
    ("api_key", "API key"),
    ("oauth", "OAuth client credentials"),
    ("none", "None: the URL is the secret"),
)

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


REQUIRED = (
    "url",
    "username",
    "password",
    "header_name",
    "header_value",
    "endpoint",
    "client_id",
    "client_secret",
)
# Type of authorization → the field of its stored secret.
KEPT_BY_TYPE = {"basic": "password", "api_key": "header_value", "oauth": "client_secret"}

# The gallery's cards of the webhook: as it is, and filled in for receivers that take it as it is.
WEBHOOK_CARDS: tuple[services.TargetKind | services.Preset, ...] = (
    services.KINDS["webhook"],
    *services.PRESETS,
)


# Field of the form that takes a secret.
SECRET_FIELDS = ("password", "header_value", "client_secret", "signing_secret", "client_key")


def secret_inputs(data: QueryDict) -> dict[str, str]:
    """The inputs of secrets, as ``unsaved_secrets`` wants them; a row is known by its place and name."""
    found = {name: name for name in SECRET_FIELDS}
    for prefix in ("call", "token"):
        for key in data:
            if key.startswith(f"{prefix}-secret-"):
                number = key.rpartition("-")[2]
                row = row_key(
                    prefix, data.get(f"{prefix}-where-{number}", ""), data.get(f"{prefix}-name-{number}", "")
                )
                found[row] = f"{prefix}-value-{number}"
    return found


def row_key(prefix: str, where: str, name: str) -> str:
    return f"{prefix} {where} {name.strip()}"


@dataclass(slots=True)
class ParameterRow:
    """One parameter as the page shows it; ``value`` is empty for a secret that is stored."""

    where: str = "header"
    name: str = ""
    value: str = ""
    secret: bool = False
    stored: bool = False
    error: str = ""
    hint: str = ""


@dataclass(slots=True)
class ParameterRows:
    """A list of parameters: of the call (``call``) or of the token request (``token``)."""

    prefix: str
    path: str
    rows: list[ParameterRow] = field(default_factory=list)
    kept: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @classmethod
    def posted(
        cls, prefix: str, path: str, data: QueryDict, stored: Mapping[str, Mapping[str, object]]
    ) -> "ParameterRows":
        numbers = [key.rpartition("-")[2] for key in data if key.startswith(f"{prefix}-name-")]
        rows = []
        for number in numbers:
            get = {part: data.get(f"{prefix}-{part}-{number}", "") for part in ("where", "name", "value")}
            row = ParameterRow(
                get["where"], get["name"].strip(), get["value"], f"{prefix}-secret-{number}" in data,
                f"{prefix}-stored-{number}" in data,
            )  # fmt: skip
            if row.name or row.value:
                rows.append(row)
        return cls(prefix, path, rows, stored)

    @classmethod
    def stored(
        cls, prefix: str, path: str, parameters: Mapping[str, Mapping[str, object]], *, kept: bool = True
    ) -> "ParameterRows":
        """``kept``: a secret among them is stored; else it is still to be written."""
        rows = []
        for where, values in parameters.items():
            for name, value in values.items():
                secret = isinstance(value, Mapping)
                rows.append(
                    ParameterRow(where, name, "" if secret else _shown(value), secret, secret and kept)
                )
        return cls(prefix, path, rows)

    def document(self) -> dict[str, dict[str, object]]:
        """The rows by place in the request; adds an error for a name that occurs twice, since a mapping
        cannot hold it."""
        found: dict[str, dict[str, object]] = {where: {} for where, _ in PARAMETER_PLACES}
        for row in self.rows:
            place = found.get(row.where)
            if place is None:
                row.error = "Choose header, query string or body."
            elif row.name in place:
                row.error = "This name is used twice."
            else:
                place[row.name] = {"value": row.value, "secret": True} if row.secret else self._typed(row)
        return found

    def _typed(self, row: ParameterRow) -> object:
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


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class WebhookForm(IntegrationForm):
    url = setting_widgets.text_field("URL", inputmode="url", placeholder="https://")
    method = setting_widgets.choice_field("Method", [(m, m) for m in ("POST", "PUT", "PATCH")])
    allow_plain_http = setting_widgets.checkbox_field(
        "Allow plain http",
        "Requests and credentials can be read on the way. Not needed for https or in ALLOWED_NETWORKS.",
    )
    authorization = setting_widgets.choice_field("Authorization", AUTHORIZATION, switch="authorization")
    username = setting_widgets.text_field("User name")
    password = setting_widgets.secret_field("Password")
    header_name = setting_widgets.text_field("Header name", "Such as x-api-key.")
    header_value = setting_widgets.secret_field("Header value")
    endpoint = setting_widgets.text_field(
        "Authorization endpoint", "The URL that issues tokens.", placeholder="https://"
    )
    token_method = setting_widgets.choice_field("Token method", [(m, m) for m in ("POST", "PUT", "GET")])
    client_authentication = setting_widgets.choice_field("Client authentication", CLIENT_AUTHENTICATION)
    client_id = setting_widgets.text_field("Client id")
    client_secret = setting_widgets.secret_field("Client secret")
    signing_enabled = setting_widgets.checkbox_field("Sign each request (Standard Webhooks)")
    signing_secret = setting_widgets.secret_field(
        "Signing secret", "whsec_…; leave empty to generate one, shown once after saving."
    )
    template = setting_widgets.lines_field(
        "Template",
        "Empty: the events of the contract. Else Liquid that makes JSON; the filter json writes a value with its quotes.",
        '{"text": {{ detail.title | json }}, "users": {{ detail.usersFailing | json }}}',
    )
    users_per_request = setting_widgets.number_field(
        "Maximum users per request", "1: one request a user. Empty: as many as Settings allow."
    )
    timeout_connect = setting_widgets.number_field("Seconds to connect", "Up to 30.", whole=False)
    timeout_answer = setting_widgets.number_field("Seconds to answer", "Up to 30.", whole=False)
    ca = setting_widgets.pem_field(
        "Certificate authority", "PEM of the private authority that signed the receiver's certificate."
    )
    client_certificate = setting_widgets.pem_field(
        "Client certificate", "PEM, for receivers that ask for one."
    )
    client_key = setting_widgets.pem_field("Client private key")

    paths = PATHS
    where = PARAMETER_PLACES

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        integration: Integration | None = None,
        preset: str = "webhook",
    ) -> None:
        found = services.preset_of(preset)
        stored: JsonMapping = integration.settings if integration else found.document if found else {}
        of_call = stored.get("parameters", {})
        of_token = stored.get("authorization", {}).get("parameters", {})
        token_path = "authorization.parameters"  # noqa: S105  a path in the document
        if data is not None:
            self.call = ParameterRows.posted("call", "parameters", data, of_call)
            self.token = ParameterRows.posted("token", token_path, data, of_token)
        else:
            self.call = ParameterRows.stored("call", "parameters", of_call, kept=integration is not None)
            self.token = ParameterRows.stored("token", token_path, of_token)
        named = {"name": found.label} if found and not integration else {}
        super().__init__(data, integration=integration, initial=_initial(stored) | named)
        lost = bool(integration and services.has_lost_secrets(integration))
        stored_secret = KEPT_BY_TYPE.get(stored.get("authorization", {}).get("type", ""), "")
        kept = {stored_secret} if integration and not lost else set()
        setting_widgets.mark_required(self.fields, [name for name in REQUIRED if name not in kept])
        if integration:
            self._mark_stored(stored, integration)
        elif found:
            self.label = found.label
            self._ask(found)

    def _ask(self, preset: services.Preset) -> None:
        """Name the receiver's secret next to the field or row that takes it."""
        for path, words in preset.ask.items():
            if name := PATHS.get(path):
                self.fields[name].help_text = words
            for row in self.call.rows:
                if path == f"parameters.{row.where}.{row.name}":
                    row.hint = words

    def _mark_stored(self, stored: JsonMapping, integration: Integration) -> None:
        """Show next to each secret, and each secret URL, what is stored and whether it can be used."""
        lost = services.has_lost_secrets(integration)
        names = [KEPT_BY_TYPE.get(stored.get("authorization", {}).get("type", ""), "")]
        if stored.get("tls", {}).get("client_certificate"):
            names.append("client_key")
        for name in filter(None, names):
            self.fields[name].help_text = services.LOST_SECRET if lost else KEEP
        for name in ("url", "endpoint"):
            self.fields[name].help_text = services.LOST_SECRET if lost else KEEP_URL
        for row in (*self.call.rows, *self.token.rows):
            if lost and row.secret:
                row.stored, row.hint = False, services.LOST_SECRET
        self.fields["signing_secret"].help_text = (
            f"{services.LOST_SECRET} Left empty, one is made and shown once after saving."
            if services.has_lost_signing_secret(integration)
            else "Write one only to replace it: the old one stays valid for a day."
        )

    def parts(self) -> tuple[list[object], list[object]]:
        return [
            Fieldset("Endpoint", "url", "method", "allow_plain_http"),
            Fieldset(
                "Authorization",
                "authorization",
                shown_when("authorization", ["basic"], field_pair("username", "password")),
                shown_when("authorization", ["api_key"], field_pair("header_name", "header_value")),
                shown_when(
                    "authorization",
                    ["oauth"],
                    "endpoint",
                    field_pair("token_method", "client_authentication"),
                    field_pair("client_id", "client_secret"),
                    HTML('<h3 class="c-legend">Parameters of the token request</h3>'),
                    _rows("token"),
                ),
            ),
        ], [
            Fieldset("Parameters of each request", _rows("call")),
            Fieldset(
                "Body",
                "template",
                HTML('{% include "console/integrations/body_preview.html" %}'),
                "users_per_request",
            ),
            Fieldset("Signature", "signing_enabled", "signing_secret"),
        ]

    def mark_kept(self, kept: Collection[str]) -> None:
        for rows in (self.call, self.token):
            for row in rows.rows:
                if row_key(rows.prefix, row.where, row.name) in kept:
                    row.stored, row.hint = True, unsaved_secrets.KEPT

    def advanced_parts(self) -> list[object]:
        return [
            field_pair("timeout_connect", "timeout_answer"),
            "ca",
            field_pair("client_certificate", "client_key"),
        ]

    def clean(self) -> dict[str, object]:
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
        credentials: dict[str, object] = {
            "none": {},
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
            "allow_plain_http": bool(given["allow_plain_http"]),
            "authorization": {"type": kind, **credentials},
            "parameters": self.call.document(),
            "signing": {"enabled": bool(given["signing_enabled"]), "secret": given["signing_secret"] or None},
            "timeouts": {"connect": given["timeout_connect"], "answer": given["timeout_answer"]},
            "body": {name: given[name] for name in ("template", "users_per_request")},
            "tls": {name: given[name] for name in ("ca", "client_certificate", "client_key")},
        }

    def place_errors(self, errors: Mapping[str, str]) -> None:
        """As for every form, and show each error of a parameter next to its row."""
        super().place_errors(
            {
                path: problem
                for path, problem in errors.items()
                if not (self.call.place_error(path, problem) or self.token.place_error(path, problem))
            }
        )


def _initial(stored: JsonMapping) -> dict[str, object]:
    auth, times, tls, body = (stored.get(part, {}) for part in ("authorization", "timeouts", "tls", "body"))
    return {
        "url": stored.get("url"),
        "method": stored.get("method"),
        "allow_plain_http": stored.get("allow_plain_http", False),
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
