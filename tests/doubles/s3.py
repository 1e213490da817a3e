"""A bucket as the S3 API documents it: GetObject with conditions, ListObjectsV2, errors in XML; it verifies each signature.

The signature is computed here from the request as it arrived (docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from cii_project.tools.scripted_sources.server import Answer, Asked
from tests.doubles.aws_iam import ROLE_KEY_ID, ROLE_SECRET, ROLE_TOKEN, ScriptedIam

USERS = "login,email,status\n" + "".join(f"user{n},user{n}@example.com,active\n" for n in range(5))
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)"
)


@dataclass
class ScriptedS3:
    """``objects``: key → (content, time of the last change). ``may_list``: whether the policy grants s3:ListBucket.
    ``sts``: gives the credentials of its role; with it the stored ones may read no object."""

    access_key_id = "AKIAIOSFODNN7EXAMPLE"
    secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    bucket = "exports"
    region = "eu-central-1"

    objects: dict[str, tuple[bytes, str]] = field(
        default_factory=lambda: {"hr/users.csv": (USERS.encode(), "2026-11-28T04:00:00.000Z")}
    )
    may_list: bool = True
    page: int = 1_000
    sts: ScriptedIam | None = None
    base: str = ""

    def answer(self, asked: Asked) -> Answer:
        if self.sts and asked.form.get("Action") == "AssumeRole":
            return self.sts.answer(asked)
        if problem := self._signature_problem(asked):
            return error(problem, 403)
        path = unquote(asked.path)
        if not path.startswith(f"/{self.bucket}/"):
            return error("NoSuchBucket", 404)
        key = path.removeprefix(f"/{self.bucket}/")
        return self._object(asked, key) if key else self._list(asked)

    def _object(self, asked: Asked, key: str) -> Answer:
        if key not in self.objects:
            return error("NoSuchKey", 404)
        content, _ = self.objects[key]
        etag = etag_of(content)
        if asked.headers.get("If-None-Match") == etag:
            return Answer(304, b"", {"ETag": etag})
        return Answer(200, content, {"ETag": etag, "Content-Type": "binary/octet-stream"})

    def _list(self, asked: Asked) -> Answer:
        if not self.may_list:
            return error("AccessDenied", 403)
        keys = sorted(key for key in self.objects if key.startswith(asked.query["prefix"]))
        start = int(asked.query.get("continuation-token", 0))
        end = start + self.page
        more = end < len(keys)
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{self.objects[key][1]}</LastModified>"
            f"<ETag>{escape(etag_of(self.objects[key][0]))}</ETag><Size>{len(self.objects[key][0])}</Size></Contents>"
            for key in keys[start:end]
        )
        following = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{contents}{following}</ListBucketResult>"
        )
        return Answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _signature_problem(self, asked: Asked) -> str:
        """The code of the error; "" where the signature is right."""
        found = _AUTHORIZATION.fullmatch(asked.headers.get("Authorization", ""))
        if not found:
            return "AccessDenied"
        key_id, day, region, names, signature = found.groups()
        secret_key, token = self.secret_access_key, ""
        if self.sts:
            secret_key, token = ROLE_SECRET, ROLE_TOKEN
        if key_id != (ROLE_KEY_ID if self.sts else self.access_key_id):
            return "InvalidAccessKeyId"
        headers = {name.lower(): value for name, value in asked.headers.items()}
        if headers.get("x-amz-security-token", "") != token:
            return "InvalidToken"
        if token and "x-amz-security-token" not in names.split(";"):
            return "SignatureDoesNotMatch"
        if {"host", "x-amz-content-sha256", "x-amz-date"} - set(names.split(";")):
            return "SignatureDoesNotMatch"
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in sorted(asked.query.items())
        )
        lines = [asked.method, asked.path, query]
        lines += [f"{name}:{headers[name].strip()}" for name in names.split(";")]
        lines += ["", names, headers["x-amz-content-sha256"]]
        request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        text = "\n".join(
            ["AWS4-HMAC-SHA256", headers["x-amz-date"], f"{day}/{region}/s3/aws4_request", request]
        )
        secret = f"AWS4{secret_key}".encode()
        for part in (day, region, "s3", "aws4_request"):
            secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
        right = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return "" if signature == right and region == self.region else "SignatureDoesNotMatch"


def etag_of(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def error(code: str, status: int) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Refused by the test</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})
