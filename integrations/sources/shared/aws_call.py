"""What the sources at AWS share: addresses of each partition, credentials, signed requests, errors.

IAM and STS speak the query protocol (a form in, XML out), younger services JSON 1.1
(docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, smithy.io/2.0/aws/protocols).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from requests import PreparedRequest, Response
from requests.auth import AuthBase

from integrations.auth.signature_v4 import Credentials, CredentialScope, SignatureV4
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.source_data import Fault, RateSeen, SourceFault, SourceSettings
from integrations.sources.shared.api_source import AccessToken
from integrations.sources.shared.source_call import SourceCall, text_at
from integrations.sources.shared.xml_answers import xml_value
from integrations.targets.shared.aws_errors import CODE_HEADER, plain_code
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

IAM_VERSION, STS_VERSION = "2010-05-08", "2011-06-15"
SESSION_NAME = "identity-checks"
# The least that every role allows, and the most of a role that another role assumes.
ROLE_SECONDS = 3_600
# Codes of several services for the same (docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html).
FAULTS = {
    **dict.fromkeys(
        (
            *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled"),
            *("RequestThrottledException", "RequestLimitExceeded", "TooManyRequestsException"),
            *("BandwidthLimitExceeded", "PriorRequestNotComplete", "SlowDown"),
        ),
        Fault.THROTTLED,
    ),
    **dict.fromkeys(
        (
            *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure"),
            *("SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"),
            *("IncompleteSignatureException", "ExpiredToken", "ExpiredTokenException", "RequestExpired"),
            *("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        ),
        Fault.CREDENTIAL,
    ),
    **dict.fromkeys(
        (
            *("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"),
            *("OptInRequired", "SubscriptionRequiredException"),
        ),
        Fault.PERMISSION,
    ),
    **dict.fromkeys(
        (
            *("ServiceFailure", "ServiceUnavailable", "ServiceUnavailableException", "InternalFailure"),
            *("InternalServerException", "InternalError", "RequestTimeout", "RequestTimeoutException"),
        ),
        Fault.TEMPORARY,
    ),
    # JSON 1.1 answers this with 400.
    "ResourceNotFoundException": Fault.GONE,
}
_DENIED = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of AWS with accounts and credentials of its own. ``home``: the region of its global services."""

    name: str
    label: str
    prefix: str
    home: str
    suffix: str
    iam_host: str


# botocore's endpoints.json.
PARTITIONS = (
    Partition("aws-cn", "China", "cn-", "cn-north-1", "amazonaws.com.cn", "iam.cn-north-1.amazonaws.com.cn"),
    Partition(
        "aws-us-gov", "GovCloud (US)", "us-gov-", "us-gov-west-1", "amazonaws.com", "iam.us-gov.amazonaws.com"
    ),
    Partition("aws", "Standard", "", "us-east-1", "amazonaws.com", "iam.amazonaws.com"),
)


def partition_named(name: str) -> Partition:
    return next((each for each in PARTITIONS if each.name == name), PARTITIONS[-1])


def partition_of(region: str) -> Partition:
    return next(each for each in PARTITIONS if region.startswith(each.prefix))


def regional_address(service: str, region: str) -> str:
    return f"https://{service}.{region}.{partition_of(region).suffix}"


# --- Form ---------------------------------------------------------------------------------------------

ROLE_FIELDS = (
    Field(
        path="session_token",
        label="Session token",
        help="Only for temporary credentials (their ID begins with ASIA), which end within hours.",
        secret=True,
        required=False,
        most=8_192,
    ),
    Field(
        path="role_arn",
        label="Role to assume",
        help="Only to read another account: the ARN of the role there.",
        required=False,
        pattern=r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}",
        hint="Write the ARN of a role, such as arn:aws:iam::123456789012:role/identity-checks.",
    ),
    Field(
        path="external_id",
        label="External ID",
        help="If the role's trust policy asks for one (sts:ExternalId).",
        required=False,
        pattern=r"[\w+=,.@:/-]{2,1224}",
        hint="Write the value of sts:ExternalId in the role's trust policy.",
    ),
)
CREDENTIAL_FIELDS = (
    Field(
        path="access_key_id",
        label="Access key ID",
        pattern=r"[A-Z0-9]{16,128}",
        hint="Write the ID, such as AKIA….",
    ),
    Field(
        path="secret_access_key",
        label="Secret access key",
        secret=True,
        pattern=r"[\x21-\x7e]{16,256}",
    ),
    *ROLE_FIELDS,
)


def address_field(name: str, label: str) -> Field:
    return Field(
        path=f"addresses.{name}",
        label=f"Address of {label}",
        help="Only for a VPC endpoint or a gateway. Empty: AWS's.",
        widget="url",
        required=False,
    )


def check_credentials(reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
    """Report what does not go together."""
    if settings.get("external_id") and not settings.get("role_arn"):
        reader.add_error("external_id", "Leave this out without a role to assume.")
    is_temporary = str(settings.get("access_key_id", "")).startswith("ASIA")
    if is_temporary and not secrets.get("session_token"):
        reader.add_error("session_token", "Temporary credentials need their session token.")


def address_of(settings: JsonMapping, name: str, usual: str) -> str:
    return str((settings.get("addresses") or {}).get(name) or usual).rstrip("/")


# --- Credentials --------------------------------------------------------------------------------------


def stored_credentials(source: SourceSettings) -> Credentials:
    return Credentials(
        str(source.settings.get("access_key_id", "")),
        str(source.secrets.get("secret_access_key", "")),
        str(source.secrets.get("session_token", "")),
    )


def role_token(source: SourceSettings, region: str) -> AccessToken | None:
    """The temporary credentials of the source's role; None without a role. Raises :class:`SourceFault`."""
    role = source.settings.get("role_arn")
    if not role:
        return None
    auth = SignatureV4Auth(stored_credentials(source), region)
    base = address_of(source.settings, "sts", regional_address("sts", region))
    parameters = {"RoleArn": role, "RoleSessionName": SESSION_NAME, "DurationSeconds": str(ROLE_SECONDS)}
    if external := source.settings.get("external_id"):
        parameters["ExternalId"] = external
    try:
        call = AwsCall(source, base, "sts", auth=auth)
        result, _ = call.query("AssumeRole", STS_VERSION, parameters, limit="token")
    except SourceFault as fault:
        if fault.fault in (Fault.THROTTLED, Fault.TEMPORARY, Fault.OURS):
            raise
        text = f"The role cannot be assumed. {fault}"
        raise SourceFault(text, Fault.CREDENTIAL, status=fault.status) from fault
    found = result.get("Credentials")
    found = found if isinstance(found, dict) else {}
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    if not all(text_at(found, name) for name in names):
        raise SourceFault("The role cannot be assumed: STS answered without credentials.", Fault.TEMPORARY)
    return AccessToken(json.dumps([found[name] for name in names]), ROLE_SECONDS)


def credentials_of(source: SourceSettings, token: AccessToken | None) -> Credentials:
    """Those of the source's role, or the stored ones."""
    return Credentials(*json.loads(token.text)) if token else stored_credentials(source)


def auth_of(source: SourceSettings, token: AccessToken | None, region: str) -> "SignatureV4Auth":
    """Signs with the role's credentials, or with the stored ones."""
    return SignatureV4Auth(credentials_of(source, token), region)


def secret_parts(credentials: Credentials) -> list[str]:
    """The texts of credentials that no error may show."""
    return [each for each in (credentials.secret_access_key, credentials.session_token) if each]


class SignatureV4Auth(AuthBase):
    """Signs each request as it is sent, for a service in ``region``."""

    def __init__(self, credentials: Credentials, region: str, service: str = "") -> None:
        self.credentials, self.region, self.service = credentials, region, service

    def for_service(self, service: str) -> "SignatureV4Auth":
        return SignatureV4Auth(self.credentials, self.region, service)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        scope = CredentialScope(datetime.now(UTC), self.region, self.service)
        return SignatureV4(self.credentials, scope)(request)


# --- Requests -----------------------------------------------------------------------------------------


class AwsCall(SourceCall):
    """The requests of a source to one service."""

    form = "XML or JSON"
    # AWS states no time; its SDKs wait exponentially longer
    # (docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).
    throttle_wait = None

    def __init__(
        self, source: SourceSettings, base: str, service: str, *, auth: AuthBase | None = None
    ) -> None:
        if isinstance(auth, SignatureV4Auth):
            auth = auth.for_service(service)
        super().__init__(
            source, base, auth=auth, explain=error_text, classify=fault_of, read_body=answer_value
        )
        if isinstance(auth, SignatureV4Auth):
            self.hidden += secret_parts(auth.credentials)

    def query(
        self, action: str, version: str, parameters: Mapping[str, str], *, limit: str
    ) -> tuple[JsonObject, Mapping[str, RateSeen]]:
        """The result of an action of the query protocol. Raises :class:`SourceFault`."""
        form = {"Action": action, "Version": version, **parameters}
        # Asked for JSON these services answer in a form that no page describes.
        answer, rates = self.send("POST", "/", limit=limit, form=form, headers={"Accept": "text/xml"})
        outer = answer.value.get(f"{action}Response") if isinstance(answer.value, dict) else None
        result = outer.get(f"{action}Result") if isinstance(outer, dict) else None
        if not isinstance(result, dict):
            raise SourceFault(f"The answer is not that of {action}.", Fault.TEMPORARY)
        return result, rates

    def json_target(
        self, target: str, body: JsonMapping, *, limit: str
    ) -> tuple[JsonObject, Mapping[str, RateSeen]]:
        """The result of an operation of JSON 1.1. ``target``: such as ``AWSIdentityStore.ListUsers``."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        answer, rates = self.send("POST", "/", limit=limit, json_body=body, headers=headers)
        if not isinstance(answer.value, dict):
            raise SourceFault(f"The answer is not that of {target}.", Fault.TEMPORARY)
        return answer.value, rates

    def _error_value(self, answer: Response) -> Json:
        """The value of an error, with the code of the header, which JSON 1.1 may name there alone, as ``__type``."""
        value = super()._error_value(answer)
        code = answer.headers.get(CODE_HEADER)
        if not code:
            return value
        return {**(value if isinstance(value, dict) else {}), "__type": code}


def answer_value(body: bytes) -> Json:
    """The value of an answer: JSON, or XML as JSON would have it. Raises ValueError."""
    return xml_value(body) if body.lstrip()[:1] == b"<" else json.loads(body)


def listed(result: JsonMapping, key: str) -> list[JsonObject]:
    """The objects of a list; an empty list is an empty text in XML. Raises :class:`SourceFault` for another value."""
    found = result.get(key)
    if found == "" or found is None:
        return []
    if not isinstance(found, list):
        raise SourceFault(f"The answer has no list {key}.", Fault.TEMPORARY)
    return [each for each in found if isinstance(each, dict)]


def next_marker(result: JsonMapping) -> str:
    """The place of the next page; "" after the last one. Raises :class:`SourceFault` for a page that ends nowhere."""
    if str(result.get("IsTruncated")).lower() != "true":
        return ""
    if not text_at(result, "Marker"):
        raise SourceFault("AWS says that the list goes on and does not say where.", Fault.TEMPORARY)
    return text_at(result, "Marker")


def error_code(value: Json) -> str:
    """The code of an error: ``Error.Code`` in XML, ``__type`` in JSON, such as com.amazon.coral.service#AccessDenied."""
    if not isinstance(value, dict):
        return ""
    error = _error_in(value)
    code = text_at(error, "Code") or text_at(value, "__type") or text_at(value, "code")
    return plain_code(code)


def error_text(value: Json) -> str:
    """Code and message of an error; first the action that is denied, since messages are cut."""
    if not isinstance(value, dict):
        return ""
    message = next(
        (
            text_at(place, name)
            for place in (_error_in(value), value)
            for name in ("Message", "message")
            if text_at(place, name)
        ),
        "",
    )
    denied = _DENIED.search(message)
    code = error_code(value)
    head = f"{code} to {denied[1]}" if code and denied else code
    return ": ".join(each for each in (head, message) if each)


def _error_in(value: JsonMapping) -> JsonMapping:
    for each in (value.get("ErrorResponse"), value):
        error = each.get("Error") if isinstance(each, dict) else None
        if isinstance(error, dict):
            return error
    return {}


def fault_of(status: int, value: Json) -> Fault | None:
    """The fault of an error's code: AWS answers a limit with 400 and a wrong key with 403."""
    return FAULTS.get(error_code(value))
