"""Entra's token endpoint and the Logs Ingestion API on loopback."""

import json

from tests.receiver import Behaviour, Receiver, Recorded

TENANT = "aaaaaaaa-0000-4000-8000-000000000001"
CLIENT = "bbbbbbbb-0000-4000-8000-000000000002"
RULE = "dcr-" + "0123456789abcdef" * 2
LOGIN = f"/{TENANT}/oauth2/v2.0/token"
INGEST = f"/dataCollectionRules/{RULE}/streams/Custom-IdentityChecks_CL"
COLUMNS = {
    "TimeGenerated": str, "EventId": str, "EventType": str, "EventSource": str, "CheckId": str, "CheckTitle": str,
    "Severity": str, "Login": str, "Details": dict, "CheckTags": list, "Frameworks": list, "RunId": str,
    "ReferenceUrl": str, "Test": bool,
}  # fmt: skip


class Azure:
    def __init__(self, receiver: Receiver) -> None:
        self.receiver, self.tokens, self.revoked = receiver, 0, 0
        self.rows: list[dict] = []
        self.answers: list[Behaviour] = []
        receiver.script(LOGIN, self._token)
        receiver.script(INGEST, self._ingest)

    def _token(self, request: Recorded) -> Behaviour:
        wanted = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": "the-client-secret",
            "scope": "https://monitor.azure.com/.default",
        }
        if request.form != wanted:
            return Behaviour(
                status=401, body=b'{"error":"invalid_client","error_description":"AADSTS7000215"}'
            )
        self.tokens += 1
        return Behaviour(
            body=json.dumps(
                {"token_type": "Bearer", "expires_in": 3599, "access_token": f"token{self.tokens}"}
            ).encode()
        )

    def _ingest(self, request: Recorded) -> Behaviour:
        if self.answers:
            return self.answers.pop(0)
        if request.header("Authorization") != f"Bearer token{self.tokens}" or self.revoked == self.tokens:
            return Behaviour(status=401)
        if request.query != {"api-version": "2023-01-01"} or len(request.body) > 1024 * 1024:
            return Behaviour(status=413)
        rows = json.loads(request.body)
        for row in rows:
            if set(row) != set(COLUMNS) or any(
                not isinstance(row[name], kind) for name, kind in COLUMNS.items()
            ):
                return Behaviour(status=400, body=b'{"error":{"code":"InvalidPayload","message":"columns"}}')
        self.rows += rows
        return Behaviour(status=204)
