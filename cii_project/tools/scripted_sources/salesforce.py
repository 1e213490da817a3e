"""Salesforce as its documentation has it: tokens, versions of the API, and the queries of SOQL that a sync makes.

A result pages by ``nextRecordsUrl``, except that of TwoFactorMethodsInfo, which ends after 2,500 rows. Errors are lists.
"""

# ruff: noqa: S608  the text of an error

import base64
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from cii_project.tools.scripted_sources.server import Answer, Asked, json_answer
from integrations.services import Json, JsonObject

ERRORS = {
    400: ("MALFORMED_QUERY", "unexpected token"),
    401: ("INVALID_SESSION_ID", "Session expired or invalid"),
    403: ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    404: ("NOT_FOUND", "The requested resource does not exist"),
    500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred."),
}
MOST_METHODS = 2_500
_SOQL = re.compile(
    r"SELECT (?P<columns>.+) FROM (?P<object>\w+)(?: WHERE (?P<where>.+?))?(?: ORDER BY (?P<order>\w+))?"
    r"(?: LIMIT (?P<limit>\d+))?"
)


def salesforce_error(
    status: int, code: str = "", text: str = "", headers: dict[str, str] | None = None
) -> Answer:
    """An error as the REST API answers it."""
    usual, message = ERRORS[status]
    return json_answer([{"message": text or message, "errorCode": code or usual}], status, headers)


def salesforce_user(key: str, username: str, **values: Json) -> JsonObject:
    """A row of User."""
    return {
        "Id": key,
        "Username": username,
        "Email": username,
        "FirstName": None,
        "LastName": "User",
        "Name": "User",
        "IsActive": True,
        "UserType": "Standard",
        "Manager": None,
        "Department": None,
        "Title": None,
        "CompanyName": None,
        "EmployeeNumber": None,
        "MobilePhone": None,
        "LanguageLocaleKey": "en_US",
        "CreatedDate": "2024-03-01T09:00:00.000+0000",
        "LastLoginDate": "2025-11-20T08:30:00.000+0000",
        "LastPasswordChangeDate": "2025-06-01T00:00:00.000+0000",
        "Profile": {"Name": "Standard User", "UserLicense": {"Name": "Salesforce"}},
        "FederationIdentifier": None,
        **values,
    }


def assignment(
    key: str, label: str, *permissions: str, profile: str = "", active: bool = True, **values: Json
) -> JsonObject:
    """A row of PermissionSetAssignment. ``profile``: that owns the permission set; ``permissions``: without their prefix."""
    return {
        "AssigneeId": key,
        "IsActive": active,
        "ExpirationDate": None,
        "PermissionSet": {
            "Label": label,
            "Profile": {"Name": profile} if profile else None,
            **{f"Permissions{name}": True for name in permissions},
        },
        **values,
    }


def login(key: str, moment: str, status: str, country: str = "", ip: str = "") -> JsonObject:
    """A row of LoginHistory."""
    return {
        "UserId": key,
        "LoginTime": moment,
        "Status": status,
        "CountryIso": country or None,
        "SourceIp": ip,
    }


@dataclass
class ScriptedSalesforce:
    """An organization: the rows of each object. ``hidden``: columns of User that the run-as user may not see; ``forbidden``: objects.
    ``page``: the most rows of a page; ``used``: calls of the day before this one."""

    client_id: str = "3MVG9scripted.consumer.key0123456789"
    client_secret: str = "SCRIPTED0123456789SECRET0123456789"  # noqa: S105  of a scripted server
    username: str = "identity-checks@example.com"
    audience: str = ""
    public_key: RSAPublicKey | None = None
    users: list[JsonObject] = field(default_factory=list)
    logins: list[JsonObject] = field(default_factory=list)
    methods: list[JsonObject] = field(default_factory=list)
    assignments: list[JsonObject] = field(default_factory=list)
    members: list[JsonObject] = field(default_factory=list)
    history: list[JsonObject] = field(default_factory=list)
    hidden: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    versions: tuple[str, ...] = ("59.0", "65.0", "66.0", "67.0")
    instance: str = ""
    page: int = 2_000
    used: int = 0
    calls: int = 5_000_000
    base: str = ""
    tokens: set[str] = field(default_factory=set)
    results: dict[str, list[JsonObject]] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/services/oauth2/token":
            return self._token(asked)
        if asked.path == "/services/data":
            return json_answer([self._version(each) for each in self.versions])
        scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return salesforce_error(401)
        self.used += 1
        _, _, rest = asked.path.partition("/services/data/")
        version, _, path = rest.partition("/")
        if version.removeprefix("v") not in self.versions or not path.startswith("query"):
            return salesforce_error(404)
        if path == "query":
            return self._query(version, asked.query["q"])
        key, _, start = path.removeprefix("query/").rpartition("-")
        if key not in self.results:
            return salesforce_error(400, "INVALID_QUERY_LOCATOR", "invalid query locator", self._usage())
        return self._page(version, key, int(start))

    def _version(self, version: str) -> dict[str, str]:
        return {"label": f"Release {version}", "url": f"/services/data/v{version}", "version": version}

    def _usage(self) -> dict[str, str]:
        return {"Sforce-Limit-Info": f"api-usage={self.used}/{self.calls}"}

    def _token(self, asked: Asked) -> Answer:
        form = asked.form
        if form.get("grant_type") == "client_credentials":
            is_right = (form["client_id"], form["client_secret"]) == (self.client_id, self.client_secret)
            problem = "" if is_right else "invalid client credentials"
        else:
            problem = self._assertion_problem(form.get("assertion", ""))
        if problem:
            return json_answer({"error": "invalid_client", "error_description": problem}, 400)
        token = f"00Dscripted!token.{len(self.tokens)}"
        self.tokens.add(token)
        return json_answer(
            {
                "access_token": token,
                "instance_url": self.instance or self.base,
                "token_type": "Bearer",
                "issued_at": str(int(time.time() * 1000)),
            }
        )

    def _assertion_problem(self, assertion: str) -> str:
        head, claims, signature = assertion.split(".")
        signed = base64.urlsafe_b64decode(signature + "==")
        found = json.loads(base64.urlsafe_b64decode(claims + "=="))
        try:
            if self.public_key is None:
                return "app must not use this flow"
            text = f"{head}.{claims}".encode()
            self.public_key.verify(signed, text, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return "invalid assertion"
        wanted = {"iss": self.client_id, "sub": self.username, "aud": self.audience or self.base}
        is_right = {name: found[name] for name in wanted} == wanted
        return "" if is_right and found["exp"] - time.time() <= 300 else "user hasn't approved this consumer"

    def _query(self, version: str, soql: str) -> Answer:
        found = _SOQL.fullmatch(soql)
        if not found:
            return salesforce_error(400, text=soql)
        name, columns = found["object"], found["columns"].split(", ")
        if name in self.forbidden:
            text = f"sObject type '{name}' is not supported."
            return salesforce_error(400, "INVALID_TYPE", text, self._usage())
        for column in columns:
            if set(column.split(".")) & set(self.hidden):
                text = f"SELECT {column} FROM {name}\n^\nNo such column '{column}' on entity '{name}'."
                return salesforce_error(400, "INVALID_FIELD", text, self._usage())
        rows = self._rows(name, found["where"] or "")
        if found["order"]:
            rows = sorted(rows, key=lambda each: str(each[found["order"]]))
        rows = rows[: int(found["limit"] or len(rows))]
        if columns == ["COUNT()"]:
            return json_answer({"totalSize": len(rows), "done": True, "records": []}, headers=self._usage())
        if name == "TwoFactorMethodsInfo":
            rows = rows[:MOST_METHODS]
        key = f"01g{len(self.results):012}"
        self.results[key] = [{"attributes": {"type": name}, **_projected(each, columns)} for each in rows]
        return self._page(version, key, 0)

    def _rows(self, name: str, where: str) -> list[JsonObject]:
        match name:
            case "User":
                return self.users
            case "UserLogin":
                return [
                    each for each in self.logins if each["IsFrozen"] or each["IsPasswordLocked"] or not where
                ]
            case "TwoFactorMethodsInfo":
                last = where.partition("'")[2].partition("'")[0]
                return [each for each in self.methods if each["UserId"] > last]
            case "PermissionSetAssignment":
                wanted = re.findall(r"PermissionSet\.(\w+) = true", where)
                return [
                    each
                    for each in self.assignments
                    if not wanted or set(wanted) & set(each["PermissionSet"])
                ]
            case "GroupMember":
                return self.members
            case _:
                since = where.removeprefix("LoginTime >= ")
                return [each for each in self.history if each["LoginTime"] >= since]

    def _page(self, version: str, key: str, start: int) -> Answer:
        rows, end = self.results[key], start + self.page
        page: JsonObject = {"totalSize": len(rows), "done": end >= len(rows), "records": rows[start:end]}
        if end < len(rows):
            page["nextRecordsUrl"] = f"/services/data/{version}/query/{quote(key)}-{end}"
        return json_answer(page, headers=self._usage())


def _projected(row: JsonObject, columns: list[str]) -> JsonObject:
    """The row with these columns alone; a dotted one is in an object of its relation."""
    shown: JsonObject = {}
    for column in columns:
        first, *rest = column.split(".")
        value = row.get(first)
        shown[first] = value if not rest or value is None else {**(shown.get(first) or {}), **value}
    return shown
