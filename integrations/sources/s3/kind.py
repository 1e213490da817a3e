"""A file in a bucket of Amazon S3 or of a store that speaks its API (docs/sources/s3.md): ListObjectsV2 and GetObject."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote, urlencode

# The parser below refuses document types, so none of the attacks that the rule is about.
from xml.parsers.expat import ExpatError, ParserCreate  # nosec B407

from requests import PreparedRequest
from requests.auth import AuthBase

from integrations.auth.signature_v4 import Credentials, CredentialScope, SignatureV4
from integrations.json_types import JsonMapping, JsonObject
from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources.shared.api_source import AccessToken
from integrations.sources.shared.aws_call import (
    ROLE_FIELDS,
    address_field,
    check_credentials,
    credentials_of,
    role_token,
    secret_parts,
)
from integrations.sources.shared.cloud_fields import PROXY_CA
from integrations.sources.shared.file_call import OpenFile
from integrations.sources.shared.file_fields import READING_FIELDS
from integrations.sources.shared.file_source import FileDownload, Step
from integrations.sources.shared.http_file import HttpFileCall, opened, start_of, validators
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field
from integrations.transport.http import OpenAnswer

MAX_LIST = 16 * 1024 * 1024
MOST_PAGES = 100
EMPTY_BODY = hashlib.sha256(b"").hexdigest()
# docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
FAULTS = {
    **dict.fromkeys(
        (
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
            "RequestTimeTooSkewed",
        ),
        Fault.CREDENTIAL,
    ),
    **dict.fromkeys(("SlowDown", "Throttling", "RequestLimitExceeded"), Fault.THROTTLED),
    **dict.fromkeys(("InternalError", "ServiceUnavailable", "RequestTimeout"), Fault.TEMPORARY),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem"), Fault.PERMISSION),
    **dict.fromkeys(("NoSuchBucket", "NoSuchKey"), Fault.GONE),
}


class S3File(FileDownload):
    slug = "s3"
    label = "File in S3"
    summary = "A CSV or JSON file, or the newest one of a folder, in Amazon S3 or a compatible store."
    provider = "FILE"
    position = 82
    form_fields = (
        Field(
            path="bucket",
            label="Bucket",
            pattern=r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]",
            hint="Write its name.",
        ),
        Field(
            path="region",
            label="Region",
            default="us-east-1",
            pattern=r"[a-z0-9\-]{2,40}",
            hint="Such as eu-central-1.",
        ),
        Field(
            path="key",
            label="Key",
            help="The whole key, such as exports/users.csv; or with * in the last part for the newest match: exports/*.csv.",
            most=1_024,
            pattern=r"[^*/][^*]*(/[^/]*)?|[^/]*",
            hint="Write a key without a leading slash, with * in its last part only.",
        ),
        Field(
            path="access_key_id",
            label="Access key ID",
            pattern=r"[A-Za-z0-9_\-]{3,128}",
            hint="Write the ID, such as AKIA….",
        ),
        Field(path="secret_access_key", label="Secret access key", secret=True),
        *ROLE_FIELDS,
        *READING_FIELDS,
        Field(
            path="addresses.s3",
            label="Address of the store",
            help="Only for a store other than Amazon S3, or a VPC endpoint. Empty: that of Amazon.",
            widget="url",
            required=False,
        ),
        address_field("sts", "STS"),
        PROXY_CA,
    )
    steps = (
        "Create an IAM user for this source, without console access, with the policy of the guide: s3:GetObject on the file, and "
        "s3:ListBucket on its folder if the newest file is read.",
        "Create an access key for it: Security credentials → Create access key → Application running outside AWS.",
        "Enter bucket, region, key and access key here.",
        "Save and test: Test connectivity shows each permission, the columns and which field each becomes.",
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        super().check(reader, settings, secrets)
        check_credentials(reader, settings, secrets)
        folder, _, name = str(settings.get("key", "")).rpartition("/")
        if "*" in folder or not name:
            reader.add_error("key", "Write * in the last part only, and a name in it.")

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        return role_token(source, source.settings["region"])

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase:
        return SignedS3(credentials_of(source, token), source.settings["region"])

    def call(self, source: SourceSettings, auth: AuthBase | None) -> "S3Call":
        return S3Call(source, auth)

    def steps_to_file(self, call: "S3Call") -> Sequence[Step]:
        def list_folder() -> str:
            newest_object(call)
            return ""

        return [("s3:ListBucket", list_folder)] if call.is_pattern else []

    def open_file(self, call: "S3Call", known_version: JsonMapping) -> OpenFile | None:
        key = call.key
        if call.is_pattern:
            newest = newest_object(call)
            if known_version.get("key") == newest.key and known_version.get("etag") == newest.etag:
                return None
            key = newest.key
        known = known_version if known_version.get("key") == key else {}
        answer = call.open(call.address(key), validators(known))
        if answer.status == HTTPStatus.NOT_MODIFIED:
            answer.close()
            return None
        file = opened(answer, key.rpartition("/")[2])
        file.version["key"] = key
        return file


class SignedS3(AuthBase):
    """Signs a request when it is sent, with the digest of its empty body, which S3 asks for."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self.credentials, self.region = credentials, region

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        r.headers["X-Amz-Content-SHA256"] = EMPTY_BODY
        return SignatureV4(self.credentials, CredentialScope(datetime.now(UTC), self.region, "s3"))(r)


class S3Object(NamedTuple):
    modified: str
    key: str
    etag: str


class S3Call(HttpFileCall):
    """Requests to one bucket: by its own host name at Amazon, by path elsewhere and where its name has a dot, which no certificate
    covers."""

    # As shared/aws_call.py.
    throttle_wait = None

    def __init__(self, source: SourceSettings, auth: AuthBase | None) -> None:
        super().__init__(source, auth)
        if isinstance(auth, SignedS3):
            self.hidden += secret_parts(auth.credentials)
        settings = source.settings
        bucket, region = settings["bucket"], settings["region"]
        self.key = str(settings["key"])
        given = (settings.get("addresses") or {}).get("s3", "").rstrip("/")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        if given or "." in bucket:
            self.base = f"{given or f'https://s3.{region}.{suffix}'}/{bucket}"
        else:
            self.base = f"https://{bucket}.s3.{region}.{suffix}"

    @property
    def is_pattern(self) -> bool:
        return "*" in self.key

    def address(self, key: str) -> str:
        return f"{self.base}/{quote(key, safe='/-_.~')}"

    def explain(self, body: bytes) -> str:
        error = dict(_texts(body, "Error"))
        return ": ".join(
            each for each in (error.get("Code"), error.get("Message")) if each
        ) or super().explain(body)

    def classify(self, status: int, body: bytes) -> Fault | None:
        return FAULTS.get(dict(_texts(body, "Error")).get("Code", ""))

    def _fault(self, answer: OpenAnswer) -> SourceFault:
        region = answer.headers.get("x-amz-bucket-region", "")
        if region and region != self.options["region"] and answer.status in (301, 307, 400):
            text = self.shown(f"The bucket is in the region {region}: enter that one.")
            return SourceFault(text, Fault.REFUSED, status=answer.status)
        return super()._fault(answer)


def newest_object(call: S3Call) -> S3Object:
    """The object that was changed last of those that match the key's pattern. Raises
    :class:`~integrations.source_data.SourceFault`."""
    newest: S3Object | None = None
    token = ""
    for _ in range(MOST_PAGES):
        objects, token = _list_page(call, token)
        found = [
            each
            for each in objects
            if fnmatchcase(each.key, _pattern(call.key)) and each.key.count("/") == call.key.count("/")
        ]
        newest = max([*([newest] if newest else []), *found], default=None)
        if not token:
            break
    else:
        raise SourceFault(
            f"The folder holds more than {MOST_PAGES * 1_000:,} objects: choose a key that starts more precisely.",
            Fault.REFUSED,
        )
    if newest is None:
        raise SourceFault(f"No object matches {call.key}.", Fault.GONE)
    return newest


def _list_page(call: S3Call, token: str) -> tuple[list[S3Object], str]:
    """The objects of one page of the list, and the token of the next page, "" after the last."""
    query = {"list-type": "2", "max-keys": "1000", "prefix": call.key.partition("*")[0]}
    if token:
        query["continuation-token"] = token
    answer = call.open(f"{call.base}/?{urlencode(query, quote_via=quote)}")
    try:
        body = start_of(answer, MAX_LIST)
    finally:
        answer.close()
    outer = dict(_texts(body, "ListBucketResult"))
    if "IsTruncated" not in outer:
        raise SourceFault("The list of the bucket is not complete, or no list of S3.", Fault.TEMPORARY)
    following = outer.get("NextContinuationToken", "")
    if following == token and token:
        raise SourceFault("The store named the same page twice: its list would never end.", Fault.REFUSED)
    objects = [
        S3Object(each.get("LastModified", ""), each["Key"], each.get("ETag", ""))
        for each in map(dict, _elements(body, "ListBucketResult", "Contents"))
        if each.get("Key") and each.get("Size") != "0"
    ]
    return objects, following if outer["IsTruncated"] == "true" else ""


def _pattern(key: str) -> str:
    """The key as a pattern in which * alone is special."""
    return "".join(f"[{character}]" if character in "?[" else character for character in key)


# --- XML ----------------------------------------------------------------------------------------------


def _texts(body: bytes, root: str) -> list[tuple[str, str]]:
    """Name and text of each element just below the root of that name; none for another document."""
    return [pair for path, pair in _walk(body) if path == (root,)]


def _elements(body: bytes, root: str, name: str) -> list[list[tuple[str, str]]]:
    """Of each element ``name`` below the root, the names and texts just below it."""
    found: list[list[tuple[str, str]]] = [[]]
    for path, pair in _walk(body):
        if path == (root, name):
            found[-1].append(pair)
        elif path == (root,) and pair[0] == name:
            found.append([])
    return [each for each in found if each]


def _walk(body: bytes) -> list[tuple[tuple[str, ...], tuple[str, str]]]:
    """Each element as it ends: the names around it, and its name with its text. None of what is no XML."""
    open_names: list[str] = []
    texts: list[list[str]] = [[]]
    found: list[tuple[tuple[str, ...], tuple[str, str]]] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        open_names.append(name)
        texts.append([])

    def end(name: str) -> None:
        text = "".join(texts.pop())
        found.append((tuple(open_names[:-1]), (open_names.pop(), text)))

    def characters(data: str) -> None:
        texts[-1].append(data)

    def refuse(*_: object) -> None:
        raise ValueError("a document type is not accepted")

    parser = ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except (ExpatError, ValueError, LookupError):
        return []
    return found
