"""IAM and STS as their API references have them: the query protocol with XML answers, pages by marker, the credential
report, roles to assume. Requests must carry a valid signature."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from cii_project.tools.scripted_sources.server import Answer, Asked
from integrations.auth.signature_v4 import Credentials, CredentialScope, authorization

ACCOUNT = "123456789012"
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ROLE_KEY_ID, ROLE_SECRET, ROLE_TOKEN = (
    "ASIAIOSFODNN7EXAMPLE",
    "of-the-role/0123456789012345678901234567",
    "token-of-the-role+0123456789==",
)
CALLER = f"arn:aws:iam::{ACCOUNT}:user/identity-checks"
# The header of the report (docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html).
COLUMNS = [
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    "access_key_1_active",
    "access_key_1_last_rotated",
    "access_key_1_last_used_date",
    "access_key_1_last_used_region",
    "access_key_1_last_used_service",
    "access_key_2_active",
    "access_key_2_last_rotated",
    "access_key_2_last_used_date",
    "access_key_2_last_used_region",
    "access_key_2_last_used_service",
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
]
ABSENT = {
    "password_enabled": "false",
    "mfa_active": "false",
    "access_key_1_active": "false",
    "access_key_2_active": "false",
    "cert_1_active": "false",
    "cert_2_active": "false",
}


def iam_error(code: str, message: str = "", status: int = 400) -> Answer:
    """An error of the query protocol."""
    return _xml(
        {
            "ErrorResponse": {
                "Error": {"Type": "Sender", "Code": code, "Message": message},
                "RequestId": "7a62c49f",
            }
        },
        status,
    )


def denied(action: str) -> Answer:
    text = (
        f"User: {CALLER} is not authorized to perform: {action} on resource: * because no identity-based policy allows "
        f"the {action} action"
    )
    return iam_error("AccessDenied", text, 403)


def iam_user(number: int, name: str, **values: Any) -> dict[str, Any]:
    """A user as ``GetAccountAuthorizationDetails`` shows one."""
    return {
        "Path": "/",
        "UserName": name,
        "UserId": f"AIDAEXAMPLE{number:09}",
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "CreateDate": "2024-03-01T09:00:00Z",
        "UserPolicyList": [],
        "GroupList": [],
        "AttachedManagedPolicies": [],
        "Tags": [],
        **values,
    }


def attached(name: str, arn: str = "") -> dict[str, str]:
    return {"PolicyName": name, "PolicyArn": arn or f"arn:aws:iam::aws:policy/{name}"}


def tags(**values: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def row(name: str, **values: str) -> dict[str, str]:
    """A row of the credential report: a console user without a key, unless ``values`` say otherwise."""
    arn = f"arn:aws:iam::{ACCOUNT}:" + ("root" if name == "<root_account>" else f"user/{name}")
    return {
        **dict.fromkeys(COLUMNS, "N/A"),
        **ABSENT,
        "user": name,
        "arn": arn,
        "user_creation_time": "2024-03-01T09:00:00+00:00",
        "password_enabled": "true",
        "password_last_used": "2026-11-20T08:00:00+00:00",
        "password_last_changed": "2026-05-01T09:00:00+00:00",
        **values,
    }


@dataclass
class ScriptedIam:
    """An account. ``forbidden``: actions that are denied; ``polls``: how often the report is not ready yet; ``page``: the
    most of a page; ``devices``: name → serial numbers; ``virtual``: (serial number, ARN of its user)."""

    users: list[dict[str, Any]] = field(default_factory=list)
    report: list[dict[str, str]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    policies: list[dict[str, Any]] = field(default_factory=list)
    devices: dict[str, list[str]] = field(default_factory=dict)
    virtual: list[tuple[str, str]] = field(default_factory=list)
    forbidden: tuple[str, ...] = ()
    polls: int = 0
    page: int = 500
    role: str = ""
    external_id: str = ""
    region: str = "us-east-1"
    base: str = ""

    def answer(self, asked: Asked) -> Answer:
        form = asked.form
        action = form.get("Action", "")
        service = "sts" if action == "AssumeRole" else "iam"
        if problem := signature_problem(asked, service, self.region):
            return problem
        if f"{service}:{action}" in self.forbidden:
            return denied(f"{service}:{action}")
        answers: dict[str, Callable[[dict[str, str]], Any]] = {
            "AssumeRole": self._role,
            "GenerateCredentialReport": self._generate,
            "GetCredentialReport": self._report,
            "GetAccountAuthorizationDetails": self._details,
            "ListUsers": self._list_users,
            "ListMFADevices": self._list_devices,
            "ListVirtualMFADevices": self._list_virtual,
        }
        if action not in answers:
            return iam_error("InvalidAction", f"Could not find operation {action}")
        result = answers[action](form)
        return result if isinstance(result, Answer) else result_of(action, result)

    def _role(self, form: dict[str, str]) -> Any:
        if (form["RoleArn"], form.get("ExternalId", "")) != (self.role, self.external_id):
            return denied("sts:AssumeRole")
        credentials = {
            "AccessKeyId": ROLE_KEY_ID,
            "SecretAccessKey": ROLE_SECRET,
            "SessionToken": ROLE_TOKEN,
            "Expiration": "2100-01-01T00:00:00Z",
        }
        arn = f"{self.role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/identity-checks"
        role = {"Arn": arn, "AssumedRoleId": "AROAEXAMPLE000000001:identity-checks"}
        return {"Credentials": credentials, "AssumedRoleUser": role}

    def _generate(self, form: dict[str, str]) -> Any:
        self.polls -= 1
        return {"State": "INPROGRESS" if self.polls >= 0 else "COMPLETE"}

    def _report(self, form: dict[str, str]) -> Any:
        if self.polls > 0:
            return iam_error("ReportInProgress", "Credential report is still being generated", 404)
        lines = [",".join(COLUMNS), *(",".join(each[name] for name in COLUMNS) for each in self.report)]
        return {
            "Content": b64encode("\n".join(lines).encode()).decode(),
            "ReportFormat": "text/csv",
            "GeneratedTime": "2026-11-29T06:00:00Z",
        }

    def _details(self, form: dict[str, str]) -> Any:
        lists = {
            "User": ("UserDetailList", self.users),
            "Group": ("GroupDetailList", self.groups),
            "LocalManagedPolicy": ("Policies", self.policies),
        }
        key, items = lists[form["Filter.member.1"]]
        empty = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
        return {**empty, **self._page(form, key, items)}

    def _list_users(self, form: dict[str, str]) -> Any:
        names = ("UserName", "UserId", "Arn", "CreateDate", "Path")
        return self._page(form, "Users", [{name: each[name] for name in names} for each in self.users])

    def _list_devices(self, form: dict[str, str]) -> Any:
        name = form["UserName"]
        if name not in [each["UserName"] for each in self.users]:
            return iam_error("NoSuchEntity", f"The user with name {name} cannot be found.", 404)
        made = {"UserName": name, "EnableDate": "2024-03-01T09:00:00Z"}
        found = [{**made, "SerialNumber": each} for each in self.devices.get(name, ())]
        return {"MFADevices": found, "IsTruncated": False}

    def _list_virtual(self, form: dict[str, str]) -> Any:
        found = [
            {"SerialNumber": serial, "EnableDate": "2024-03-01T09:00:00Z", "User": _holder(arn)}
            for serial, arn in self.virtual
        ]
        return self._page(form, "VirtualMFADevices", found)

    def _page(self, form: dict[str, str], key: str, items: list[Any]) -> Any:
        marker = form.get("Marker", "")
        if marker and not marker.startswith("place-"):
            return iam_error("ValidationError", "Invalid Marker.")
        start = int(marker.removeprefix("place-") or 0)
        end = start + min(int(form.get("MaxItems", 100)), self.page)
        place = {"Marker": f"place-{end}"} if end < len(items) else {}
        return {key: items[start:end], "IsTruncated": bool(place), **place}


def _holder(arn: str) -> dict[str, str]:
    """The user of a virtual device; the root user has the account's id and neither name nor path."""
    name = arn.partition(":user/")[2]
    made = {"Arn": arn, "CreateDate": "2024-03-01T09:00:00Z"}
    if not name:
        return {"UserId": ACCOUNT, **made}
    return {"Path": "/", "UserName": name, "UserId": f"AIDA{name.upper():0>16}", **made}


def result_of(action: str, result: dict[str, Any]) -> Answer:
    return _xml(
        {f"{action}Response": {f"{action}Result": result, "ResponseMetadata": {"RequestId": "7a62c49f"}}}
    )


def signature_problem(asked: Asked, service: str, region: str) -> Answer | None:
    """The error of a request whose signature does not hold."""
    headers = {name.lower(): value for name, value in asked.headers.items()}
    given = headers.get("authorization", "")
    secrets = {KEY_ID: (SECRET, ""), ROLE_KEY_ID: (ROLE_SECRET, ROLE_TOKEN)}
    key = given.partition("Credential=")[2].partition("/")[0]
    if key not in secrets:
        return iam_error(
            "InvalidClientTokenId", "The security token included in the request is invalid.", 403
        )
    secret, token = secrets[key]
    if headers.get("x-amz-security-token", "") != token:
        return iam_error(
            "InvalidClientTokenId", "The security token included in the request is invalid.", 403
        )
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    moment = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    wanted = authorization(
        asked.method,
        f"http://{headers['host']}{asked.path}",
        {name: headers[name] for name in names},
        asked.body,
        Credentials(key, secret),
        CredentialScope(moment, region, service),
    )
    if given != wanted or (token and "x-amz-security-token" not in names):
        text = "The request signature we calculated does not match the signature you provided."
        return iam_error("SignatureDoesNotMatch", text, 403)
    return None


def policy(*actions: str, **statement: Any) -> str:
    """The document of a policy, in the encoding of URLs, as IAM answers it."""
    listed = ", ".join(f'"{each}"' for each in actions)
    more = "".join(f', "{name}": "{value}"' for name, value in statement.items())
    return quote(
        f'{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": [{listed}], "Resource": "*"{more}}}]}}'
    )


def _xml(value: dict[str, Any], status: int = 200) -> Answer:
    (name,) = value
    text = _element(name, value[name], ' xmlns="https://iam.amazonaws.com/doc/2010-05-08/"')
    return Answer(status, text.encode(), {"Content-Type": "text/xml"})


def _element(name: str, value: Any, attributes: str = "") -> str:
    match value:
        case dict():
            inner = "".join(_element(key, each) for key, each in value.items())
        case list():
            inner = "".join(_element("member", each) for each in value)
        case bool():
            inner = str(value).lower()
        case _:
            inner = escape(str(value))
    return f"<{name}{attributes}>{inner}</{name}>"
