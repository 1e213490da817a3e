"""A Jira site on loopback that enforces the documented requests of the REST API v3."""

import base64
import json

from tests.receiver import Behaviour, Receiver, Recorded

AUTH = "Basic " + base64.b64encode(b"robot@example.com:the-api-token").decode()
NODES = {"doc", "paragraph", "text", "bulletList", "listItem"}


def refused(status: int, *messages: str, **fields: str) -> Behaviour:
    return Behaviour(status=status, body=json.dumps({"errorMessages": messages, "errors": fields}).encode())


def answered(body: object, status: int = 200) -> Behaviour:
    return Behaviour(status=status, body=json.dumps(body).encode())


def bad_document(node: dict) -> bool:
    if node["type"] not in NODES or set(node) - {"type", "version", "content", "text", "marks"}:
        return True
    if any(
        mark["type"] != "link" or not mark["attrs"]["href"].startswith("https://")
        for mark in node.get("marks", ())
    ):
        return True
    return (node["type"] == "text" and not node["text"]) or any(map(bad_document, node.get("content", ())))


class Site:
    """One project, SEC, whose issues are To Do or Done."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.issues: dict[str, dict] = {}
        self.permissions = {"CREATE_ISSUES", "ADD_COMMENTS", "BROWSE_PROJECTS"}
        self.answers: dict[str, Behaviour] = {}
        for path, handler in (
            ("mypermissions", self._permissions),
            ("search/jql", self._search),
            ("issue", self._create),
        ):
            receiver.script(f"/rest/api/3/{path}", self._guarded(handler))

    def _guarded(self, handler):
        def guarded(request: Recorded) -> Behaviour:
            if request.header("Authorization") != AUTH:
                return refused(401, "Client must be authenticated to access this resource.")
            return self.answers.get(request.path.rpartition("/")[2]) or handler(request)

        return guarded

    def _permissions(self, request: Recorded) -> Behaviour:
        if request.query.get("projectKey") != "SEC":
            return refused(404, "No project could be found with key.")
        names = request.query["permissions"].split(",")
        return answered({"permissions": {n: {"havePermission": n in self.permissions} for n in names}})

    def _search(self, request: Recorded) -> Behaviour:
        asked = json.loads(request.body)
        if set(asked) - {"jql", "maxResults", "fields", "properties", "nextPageToken", "expand"}:
            return refused(400, "Invalid request payload.")
        label = asked["jql"].partition('labels = "')[2].partition('"')[0]
        found = [
            {"key": key, "properties": issue["properties"]}
            for key, issue in self.issues.items()
            if label in issue["fields"]["labels"] and issue["status"] != "done"
        ]
        return answered({"issues": found[: asked["maxResults"]], "isLast": True})

    def _create(self, request: Recorded) -> Behaviour:
        asked = json.loads(request.body)
        fields = asked["fields"]
        if fields["project"] != {"key": "SEC"} or fields["issuetype"]["name"] != "Task":
            return refused(400, project="valid project is required")
        if (
            not 0 < len(fields["summary"]) <= 255
            or "\n" in fields["summary"]
            or bad_document(fields["description"])
        ):
            return refused(400, description="Operation value must be an Atlassian Document")
        if any(" " in label for label in fields["labels"]):
            return refused(400, labels="The label contains spaces which is invalid.")
        key = f"SEC-{len(self.issues) + 1}"
        properties = {item["key"]: item["value"] for item in asked.get("properties", ())}
        self.issues[key] = {"fields": fields, "properties": properties, "comments": [], "status": "new"}
        script = self.receiver.script
        script(f"/rest/api/3/issue/{key}/comment", self._guarded(lambda r: self._comment(key, r)))
        script(
            f"/rest/api/3/issue/{key}/properties/identity-checks",
            self._guarded(lambda r: self._remember(key, r)),
        )
        script(f"/rest/api/3/issue/{key}/transitions", self._guarded(lambda r: self._move(key, r)))
        return answered({"id": "1", "key": key}, 201)

    def _comment(self, key: str, request: Recorded) -> Behaviour:
        body = json.loads(request.body)["body"]
        if bad_document(body):
            return refused(400, comment="Comment body is not valid!")
        self.issues[key]["comments"].append(body)
        return answered({"id": "2"}, 201)

    def _remember(self, key: str, request: Recorded) -> Behaviour:
        self.issues[key]["properties"]["identity-checks"] = json.loads(request.body)
        return Behaviour(status=200)

    def _move(self, key: str, request: Recorded) -> Behaviour:
        if request.method == "GET":
            steps = [("11", "indeterminate"), ("31", "done")]
            return answered(
                {"transitions": [{"id": i, "to": {"statusCategory": {"key": k}}} for i, k in steps]}
            )
        if json.loads(request.body) != {"transition": {"id": "31"}}:
            return refused(400, "wrong transition")
        self.issues[key]["status"] = "done"
        return Behaviour(status=204)
