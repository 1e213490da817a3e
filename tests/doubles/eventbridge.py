"""An event bus on loopback: PutEvents with its signature, its limits and its answers."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from integrations.auth.signature_v4 import Credentials, CredentialScope, authorization
from tests.receiver import Behaviour, Receiver, Recorded

REGION = "eu-central-1"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
MOST_BYTES = 256 * 1024
FIELDS = {"Time", "Source", "DetailType", "Detail", "EventBusName", "Resources", "TraceHeader"}


def error(code: str, message: str, status: int = 400) -> Behaviour:
    body = {"__type": f"com.amazon.coral.service#{code}", "message": message}
    return Behaviour(status=status, body=json.dumps(body).encode())


def size_of(entry: dict[str, Any]) -> int:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-event-size"""
    texts = (entry.get(name, "") for name in ("Source", "DetailType", "Detail"))
    return (14 if "Time" in entry else 0) + sum(len(text.encode()) for text in texts)


@dataclass
class Bus:
    receiver: Receiver
    taken: list[dict[str, Any]] = field(default_factory=list)
    failing: str = ""  # the ErrorCode of every entry
    answer: Behaviour | None = None

    def __post_init__(self) -> None:
        self.receiver.script("/", self._put)

    def _put(self, request: Recorded) -> Behaviour:
        if self.answer:
            return self.answer
        if request.header("X-Amz-Target") != "AWSEvents.PutEvents":
            return error("UnknownOperationException", "")
        if refusal := self._refusal_of_signature(request):
            return refusal
        entries = json.loads(request.body)["Entries"]
        if not 1 <= len(entries) <= 10 or sum(map(size_of, entries)) > MOST_BYTES:
            return error("ValidationException", "Total size of the entries in the request is over the limit.")
        results = [self._take(entry) for entry in entries]
        failed = sum("ErrorCode" in result for result in results)
        return Behaviour(body=json.dumps({"FailedEntryCount": failed, "Entries": results}).encode())

    def _take(self, entry: dict[str, Any]) -> dict[str, str]:
        if self.failing:
            return {"ErrorCode": self.failing, "ErrorMessage": "No."}
        if set(entry) - FIELDS or not entry.get("Source") or len(entry.get("DetailType", "")) > 128:
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": "A field is not valid."}
        try:
            entry["Detail"] = json.loads(entry["Detail"])
        except (TypeError, ValueError):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        self.taken.append(entry)
        return {"EventId": f"11710aed-b79e-4468-a20b-{len(self.taken):012}"}

    def _refusal_of_signature(self, request: Recorded) -> Behaviour | None:
        given = request.header("Authorization") or ""
        if f"Credential={KEY_ID}/" not in given:
            return error(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        if not {"host", "x-amz-date", "x-amz-target"} <= set(names):
            return error("IncompleteSignatureException", "A header is not signed.")
        headers = {name: request.header(name) or "" for name in names}
        moment = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        scope = CredentialScope(moment, REGION, "events")
        credentials = Credentials(KEY_ID, SECRET)
        if given != authorization("POST", "https://x/", headers, request.body, credentials, scope):
            return error("InvalidSignatureException", "The request signature we calculated does not match.")
        return None
