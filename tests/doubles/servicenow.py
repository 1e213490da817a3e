"""A ServiceNow instance on loopback: the Table API of incidents, with the lengths of its fields."""

import base64
import json

from tests.receiver import Behaviour, Receiver, Recorded

AUTH = "Basic " + base64.b64encode(b"robot:the-password").decode()
FIELDS = {
    "short_description": 160, "description": 4000, "urgency": 1, "impact": 1, "assignment_group": 100,
    "correlation_id": 100, "correlation_display": 100, "work_notes": 100_000, "state": 1, "close_code": 60,
    "close_notes": 4000,
}  # fmt: skip
TABLE = "/api/now/table/incident"


class Instance:
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.incidents: dict[str, dict] = {}
        self.answer: Behaviour | None = None
        # By method: the request has no effect.
        self.answers: dict[str, Behaviour] = {}
        # By method: the next such request has its effect, and another answer.
        self.lost: dict[str, Behaviour] = {}
        receiver.script(TABLE, self._losing(self._table))

    def _losing(self, handler):
        def losing(request: Recorded) -> Behaviour:
            if scripted := self.answers.get(request.method):
                return scripted
            answer = handler(request)
            return self.lost.pop(request.method, None) or answer

        return losing

    def _table(self, request: Recorded) -> Behaviour:
        if request.header("Authorization") != AUTH:
            body = {"error": {"message": "User Not Authenticated", "detail": None}, "status": "failure"}
            return Behaviour(status=401, body=json.dumps(body).encode())
        if self.answer:
            return self.answer
        if request.method == "GET":
            query = request.query["sysparm_query"]
            wanted = query.partition("correlation_id=")[2].partition("^")[0]
            assert "^active=true^stateNOT IN6,7,8" in query
            found = [
                i
                for i in self.incidents.values()
                if i["correlation_id"] == wanted and i.get("state", "1") < "6"
            ]
            return Behaviour(body=json.dumps({"result": found[:1]}).encode())
        incident = json.loads(request.body)
        if bad := self._bad(incident):
            return bad
        sys_id = f"{len(self.incidents):032x}"
        self.incidents[sys_id] = {
            "sys_id": sys_id,
            "number": f"INC{len(self.incidents):07}",
            "notes": [],
            **incident,
        }
        patch = self._losing(lambda request: self._patch(sys_id, request))
        self.receiver.script(f"{TABLE}/{sys_id}", patch)
        return Behaviour(status=201, body=json.dumps({"result": self.incidents[sys_id]}).encode())

    def _patch(self, sys_id: str, request: Recorded) -> Behaviour:
        change = json.loads(request.body)
        if bad := self._bad(change):
            return bad
        if change.get("state") == "6" and not (change.get("close_code") and change.get("close_notes")):
            return Behaviour(
                status=403, body=b'{"error":{"message":"Resolution code and notes are mandatory"}}'
            )
        incident = self.incidents[sys_id]
        incident["notes"] += [change.pop("work_notes")] if "work_notes" in change else []
        incident |= change
        return Behaviour(body=json.dumps({"result": incident}).encode())

    def _bad(self, values: dict) -> Behaviour | None:
        wrong = [name for name, value in values.items() if len(value) > FIELDS.get(name, -1)]
        return (
            Behaviour(status=400, body=json.dumps({"error": {"message": str(wrong)}}).encode())
            if wrong
            else None
        )
