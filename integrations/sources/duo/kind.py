"""Duo: users with their second factors, bypass and groups, and the log of authentications (duo.com/docs/adminapi).

Requests are signed with the secret key. Users page by offset, without a snapshot: the number of all users, which comes
with each page, shows when somebody was deleted meanwhile. Times are seconds since 1970, in the log's query milliseconds.
"""

import hashlib
import hmac
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import parse_qsl, quote, urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import (
    Cursor,
    Fault,
    ProbeResult,
    RecordPage,
    SourceFault,
    SourceSettings,
)
from integrations.sources.shared.api_source import AccessToken, ApiSource, RateLimit, SyncPassKind
from integrations.sources.shared.attributes import ATTRIBUTES_FIELD, attribute_text, mapped_attributes
from integrations.sources.shared.cloud_fields import PROXY_CA, pass_field
from integrations.sources.shared.probing import probe_passes
from integrations.sources.shared.source_call import SourceCall, objects_at, text_at
from integrations.targets.shared.setting_fields import Field

USERS, LOG = "/admin/v1/users", "/admin/v2/logs/authentication"
USERS_PAGE, LOG_PAGE = 300, 1_000
# Duo's own words for the limits: github.com/duosecurity/duo_client_python/issues/101.
PAGES = RateLimit("pages", 200)
LOGS = RateLimit("logs", 2)
LOG_DAYS = 7
# Events of the last two minutes may still be missing in the log.
LOG_DELAY_SECONDS = 120
# Duo's word → that of the record. Another word is passed on: the import counts it as unknown.
STATUSES = {"bypass": "active", "locked out": "locked_out", "pending deletion": "deleted"}
# What a phone can do, by Duo's word for it; the first two need the activated app.
CAPABILITIES = {"push": "push", "mobile_otp": "totp", "sms": "sms", "phone": "voice"}
APP_CAPABILITIES = frozenset(("push", "mobile_otp"))
# Key of the list of a user's devices → kind of factor, and the key of what identifies one.
DEVICES = (
    ("tokens", "hardware_otp", "token_id"),
    ("u2ftokens", "fido2", "registration_id"),
    ("webauthncredentials", "webauthn", "webauthnkey"),
    ("desktoptokens", "desktop_token", "desktoptoken_id"),
    ("desktop_authenticators", "desktop_token", ""),
)
FAILURES = frozenset(("denied", "failure", "fraud", "error"))


class DuoSource(ApiSource):
    slug = "duo"
    label = "Duo"
    summary = "Users with second factors, bypass, groups and sign-ins."
    provider = "DUO"
    position = 50
    form_fields = (
        Field(
            path="url",
            label="Address of the API",
            help="The API hostname of the application with https:// before it.",
            widget="url",
            pattern=r"https?://[^/?#]+/?",
            hint="Write the API hostname, such as https://api-1a2b3c4d.duosecurity.com.",
        ),
        Field(
            path="integration_key",
            label="Integration key",
            pattern=r"DI[A-Z0-9]{18}",
            hint="Copy the integration key of the application: DI and 18 letters and digits.",
        ),
        Field(path="secret_key", label="Secret key", secret=True),
        pass_field(
            "sign_ins",
            "Read the log of authentications",
            help="Country and address of the last success, and failures since. Duo allows two calls a minute for 1,000 "
            "events each.",
            default=False,
        ),
        ATTRIBUTES_FIELD,
        PROXY_CA,
    )
    steps = (
        "In the Duo Admin Panel open Applications → Protect an Application → Admin API. You need the role Owner.",
        "Tick “Grant resource - Read” alone; “Grant read log” only if the log of authentications is to be read.",
        "Copy API hostname, integration key and secret key, and save the application.",
        "Save the form here, then run Test connectivity: it tries each permission and says what is missing.",
    )
    passes = (
        SyncPassKind(
            slug="users",
            label="Users",
            groups=("profile", "sign_in", "factors", "groups"),
            limit=PAGES,
            needs="Grant resource - Read",
        ),
        SyncPassKind(
            slug="sign_ins",
            label="Log of authentications",
            groups=("sign_in",),
            limit=LOGS,
            needs="Grant read log",
            optional=True,
        ),
    )

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return SignedAuth(source.settings["integration_key"], str(source.secrets.get("secret_key", "")))

    def call(self, source: SourceSettings, auth: AuthBase | None) -> SourceCall:
        return SourceCall(source, source.settings["url"], auth=auth, explain=error_text)

    def fetch(self, reading: SyncPassKind, call: SourceCall, cursor: Cursor | None) -> RecordPage:
        return _users(call, cursor) if reading.slug == "users" else _log(call, cursor, time.time())

    def probe(self, source: SourceSettings, call: SourceCall, scopes: Sequence[str] | None) -> ProbeResult:
        def list_users() -> tuple[int, bool]:
            users, metadata = _page(call, f"{USERS}?limit={USERS_PAGE}&offset=0", PAGES.name)
            return len(users), metadata.get("next_offset") is not None

        def look_at_log(_: str) -> None:
            now = int(time.time() * 1000)
            _page(call, f"{LOG}?mintime={now - 3_600_000}&maxtime={now}&limit=1", LOGS.name, "authlogs")

        return probe_passes(self, source, call, list_users, look_at_log)


# --- Signatures ---------------------------------------------------------------------------------------


class SignedAuth(AuthBase):
    """Signs each request (duo.com/docs/adminapi#authentication, signature version 5, HMAC-SHA512)."""

    def __init__(self, key: str, secret_key: str) -> None:
        self.key, self.secret_key = key, secret_key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        moment = formatdate()
        request.headers["Date"] = moment
        request.headers["Authorization"] = self.signature(request.method or "GET", request.url or "", moment)
        return request

    def signature(self, method: str, url: str, moment: str) -> str:
        """The header ``Authorization`` of a request without a body. ``moment``: its header ``Date`` (RFC 2822)."""
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query)
        nothing = hashlib.sha512(b"").hexdigest()
        lines = (
            moment,
            method.upper(),
            (parts.hostname or "").lower(),
            parts.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            nothing,  # of the body
            nothing,  # of headers X-Duo-…
        )
        digest = hmac.new(self.secret_key.encode(), "\n".join(lines).encode(), hashlib.sha512)
        return f"Basic {b64encode(f'{self.key}:{digest.hexdigest()}'.encode()).decode()}"


# --- Answers ------------------------------------------------------------------------------------------


def error_text(value: object) -> str:
    """Code, message and detail of an error (duo.com/docs/adminapi#response-format)."""
    if not isinstance(value, dict):
        return ""
    parts = (value.get("code"), value.get("message"), value.get("message_detail"))
    return ": ".join(str(each) for each in parts if isinstance(each, str | int) and each != "")


def _page(call: SourceCall, path: str, limit: str, key: str = "") -> tuple[list[JsonObject], JsonMapping]:
    """The objects of a page and its metadata; those of the log are at ``key`` of the response, with the metadata beside."""
    answer, _ = call.get(path, limit=limit)
    value = answer.value if isinstance(answer.value, dict) else {}
    response = value.get("response")
    outer = response if key and isinstance(response, dict) else value
    metadata = outer.get("metadata")
    found = outer.get(key) if key else response
    return answer.objects(found), metadata if isinstance(metadata, dict) else {}


# --- The passes ---------------------------------------------------------------------------------------


def _users(call: SourceCall, cursor: Cursor | None) -> RecordPage:
    """Cursor: ``url`` of the page, and ``total``: the number of all users at the page before."""
    path = cursor["url"] if cursor else f"{USERS}?limit={USERS_PAGE}&offset=0"
    users, metadata = _page(call, path, PAGES.name)
    total, following = metadata.get("total_objects"), metadata.get("next_offset")
    before = (cursor or {}).get("total")
    if isinstance(before, int) and isinstance(total, int) and total < before:
        text = f"Duo had {before:,} users and has {total:,} now: some of the list would be missed."
        raise SourceFault(text, Fault.EXPIRED)
    attributes = mapped_attributes(call.options)
    records = [user_of(each, attributes) for each in users]
    more = {"url": f"{USERS}?limit={USERS_PAGE}&offset={following}", "total": total}
    return RecordPage(records, more if isinstance(following, int) else None)


def user_of(user: JsonMapping, attributes: Mapping[str, str]) -> JsonObject:
    """The record of one user. ``attributes``: field → dotted place of the value that the member mapped to it."""
    status = text_at(user, "status")
    groups = objects_at(user, "groups")
    record: JsonObject = {
        "source_key": text_at(user, "user_id"),
        "login": text_at(user, "username"),
        "email": text_at(user, "email"),
        "first_name": text_at(user, "firstname"),
        "last_name": text_at(user, "lastname"),
        "display_name": text_at(user, "realname"),
        "phone": next(
            (text_at(each, "number") for each in objects_at(user, "phones") if text_at(each, "number")), ""
        ),
        "status": STATUSES.get(status.lower(), status),
        # The status of a group is not shown in that of its users.
        "mfa_bypass": status.lower() == "bypass"
        or any(text_at(each, "status").lower() == "bypass" for each in groups),
        "groups": [text_at(each, "name") for each in groups if text_at(each, "name")],
        "mfa_factors": factors_of(user),
    }
    if created := _moment(user.get("created")):
        record["created_at"] = created
    if "last_login" in user:
        record["last_sign_in_at"] = _moment(user["last_login"])
    for field, place in attributes.items():
        record[field] = attribute_text(user, place)
    return record


def factors_of(user: JsonMapping) -> list[JsonObject]:
    """What the user has enrolled. A policy may forbid some of it. A phone without the activated app still gets calls and
    messages."""
    found = [
        (CAPABILITIES[word], text_at(phone, "phone_id" if word in APP_CAPABILITIES else "number"))
        for phone in objects_at(user, "phones")
        for word in phone.get("capabilities") or ()
        if word in CAPABILITIES and (word not in APP_CAPABILITIES or phone.get("activated") is True)
    ]
    found += [
        (kind, text_at(device, name)) for key, kind, name in DEVICES for device in objects_at(user, key)
    ]
    return [
        {"kind": kind, "device": device} if device else {"kind": kind}
        for kind, device in dict.fromkeys(found)
    ]


def _moment(seconds: object) -> str | None:
    """The time of a number of seconds since 1970; None for none."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < 1e11:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _log(call: SourceCall, cursor: Cursor | None, now: float) -> RecordPage:
    """The authentications of the last days, the oldest first.

    Cursor: ``since`` and ``until`` in milliseconds; ``next``: the place in the log; ``failed``: failures of each user since their
    last success.
    """
    until = int((now - LOG_DELAY_SECONDS) * 1000)
    cursor = cursor or {"since": until - LOG_DAYS * 86_400_000, "until": until, "next": "", "failed": {}}
    place = f"&next_offset={quote(cursor['next'], safe=',')}" if cursor["next"] else ""
    path = f"{LOG}?mintime={cursor['since']}&maxtime={cursor['until']}&limit={LOG_PAGE}&sort=ts%3Aasc{place}"
    events, metadata = _page(call, path, LOGS.name, "authlogs")
    failed: dict[str, int] = dict(cursor["failed"])
    records: dict[str, JsonObject] = {}
    for event in events:
        _note_event(event, failed, records)
    for key, record in records.items():
        record["failed_sign_ins"] = failed.get(key, 0)
    following = metadata.get("next_offset")
    more = {**cursor, "next": ",".join(map(str, following)), "failed": failed} if following else None
    return RecordPage(list(records.values()), more)


def _note_event(event: JsonMapping, failed: dict[str, int], records: dict[str, JsonObject]) -> None:
    user, device = event.get("user"), event.get("access_device")
    key = text_at(user, "key") if isinstance(user, Mapping) else ""
    result = text_at(event, "result").lower()
    if not key or (result != "success" and result not in FAILURES):
        return
    record = records.setdefault(key, {"source_key": key})
    if result != "success":
        failed[key] = failed.get(key, 0) + 1
        return
    failed.pop(key, None)
    device = device if isinstance(device, Mapping) else {}
    location = device.get("location")
    # The name of a country; the import knows its code.
    record["last_sign_in_country"] = text_at(location, "country") if isinstance(location, Mapping) else ""
    record["last_sign_in_ip"] = text_at(device, "ip")
