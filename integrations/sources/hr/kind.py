"""An HR system by the URL of a report: Workday's reports as a service, or any CSV or JSON over HTTPS (docs/sources/hr.md)."""

from http import HTTPStatus
from typing import ClassVar
from urllib.parse import quote

from requests.auth import AuthBase, HTTPBasicAuth

from integrations.json_types import JsonMapping
from integrations.source_data import SourceSettings
from integrations.sources.shared.api_source import AccessToken
from integrations.sources.shared.cloud_fields import PROXY_CA
from integrations.sources.shared.file_call import OpenFile
from integrations.sources.shared.file_fields import READING_FIELDS
from integrations.sources.shared.file_source import FileDownload
from integrations.sources.shared.http_file import HttpFileCall, name_in, opened, validators
from integrations.sources.shared.source_call import HeaderAuth, SourceCall
from integrations.sources.shared.token_endpoint import oauth_error, request_token
from integrations.targets.shared.setting_fields import Field

OAUTH = ("refresh_token", "client_credentials")


class HrReport(FileDownload):
    slug = "hr"
    label = "HR report by URL"
    summary = "Employees with ids, managers and terminations, from Workday or any CSV or JSON over HTTPS."
    provider = "HR"
    system: ClassVar[str] = "hr"
    position = 80
    form_fields = (
        Field(
            path="url",
            label="URL of the report",
            help="Of Workday: the CSV or JSON link under “View URLs” of the report.",
            widget="url",
        ),
        Field(
            path="authorization",
            label="Authorization",
            widget="select",
            choices=(
                ("basic", "User name and password"),
                ("refresh_token", "OAuth: refresh token"),
                ("client_credentials", "OAuth: client credentials"),
                ("token", "Bearer token"),
            ),
            default="basic",
        ),
        Field(path="username", label="User name", when=("authorization", ("basic",))),
        Field(path="password", label="Password", secret=True, when=("authorization", ("basic",))),
        Field(
            path="token_url",
            label="Token endpoint",
            help="Of Workday: “Token Endpoint” under “View API Clients”.",
            widget="url",
            when=("authorization", OAUTH),
        ),
        Field(path="client_id", label="Client ID", when=("authorization", OAUTH)),
        Field(path="client_secret", label="Client secret", secret=True, when=("authorization", OAUTH)),
        Field(
            path="refresh_token",
            label="Refresh token",
            help="One that does not expire and is not replaced when it is used.",
            secret=True,
            when=("authorization", ("refresh_token",)),
        ),
        Field(path="scope", label="Scope", required=False, when=("authorization", ("client_credentials",))),
        Field(path="token", label="Token", secret=True, when=("authorization", ("token",))),
        *READING_FIELDS,
        PROXY_CA,
    )
    steps = (
        "Make a report with one row for each worker: employee id, work e-mail, name, employee id of the manager, status, hire and "
        "termination date. Leave terminated workers in it.",
        "In Workday share the report, an advanced one, as a web service, with an integration system user that may read its fields only.",
        "Paste the CSV or JSON URL of the report and the credential here.",
        "Save and test: Test connectivity shows the columns and which field each becomes.",
    )

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        way = source.settings["authorization"]
        if way not in OAUTH:
            return None
        form = {"grant_type": way}
        if way == "refresh_token":
            form["refresh_token"] = str(source.secrets.get("refresh_token", ""))
        elif source.settings.get("scope"):
            form["scope"] = source.settings["scope"]
        # RFC 6749 §2.3.1: both are form-encoded before they become user name and password.
        client = HTTPBasicAuth(
            quote(source.settings["client_id"], safe=""),
            quote(str(source.secrets.get("client_secret", "")), safe=""),
        )
        call = SourceCall(source, source.settings["token_url"], auth=client, explain=oauth_error)
        return request_token(call, "", form)

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        if token:
            return HeaderAuth("Bearer", token.text)
        if source.settings["authorization"] == "basic":
            user, password = source.settings["username"], str(source.secrets.get("password", ""))
            return HTTPBasicAuth(user.encode(), password.encode())
        return HeaderAuth("Bearer", str(source.secrets.get("token", "")))

    def call(self, source: SourceSettings, auth: AuthBase | None) -> HttpFileCall:
        return HttpFileCall(source, auth)

    def open_file(self, call: HttpFileCall, known_version: JsonMapping) -> OpenFile | None:
        url = str(call.options["url"])
        answer = call.open(url, validators(known_version))
        if answer.status == HTTPStatus.NOT_MODIFIED:
            answer.close()
            return None
        return opened(answer, name_in(url))
