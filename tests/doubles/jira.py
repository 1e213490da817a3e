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
        self.permissions = {"CREATE_ISSUES", "ADD_COMMENTS", "BROWSE_PROJECTS", "TRANSITION_ISSUES"}
        # By the last part of the path, or by the method and that; the request has no effect.
        self.answers: dict[str, Behaviour] = {}
        # By method and last part of the path: the next such request has its effect, and another answer.
        self.lost: dict[str, Behaviour] = {}
        # Whether the search still shows closed issues as open.
        self.is_index_late = False
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
            last = request.path.rpartition("/")[2]
            step = f"{request.method} {last}"
            if scripted := self.answers.get(step, self.answers.get(last)):
                return scripted
            answer = handler(request)
            return self.lost.pop(step, None) or answer

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
            if label in issue["fields"]["labels"] and (issue["status"] != "done" or self.is_index_late)
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
        script(f"/rest/api/3/issue/{key}", self._guarded(lambda r: self._status(key)))
        script(f"/rest/api/3/issue/{key}/comment", self._guarded(lambda r: self._comment(key, r)))
        # Setting a property needs the permission Edit issues, which no account of the double has.
        forbidden = refused(403, "You do not have the permission to edit issues in this project.")
        script(f"/rest/api/3/issue/{key}/properties/identity-checks", forbidden)
        script(f"/rest/api/3/issue/{key}/transitions", self._guarded(lambda r: self._move(key, r)))
        return answered({"id": "1", "key": key}, 201)

    def _status(self, key: str) -> Behaviour:
        category = {"key": self.issues[key]["status"]}
        return answered({"key": key, "fields": {"status": {"statusCategory": category}}})

    def _comment(self, key: str, request: Recorded) -> Behaviour:
        comments = self.issues[key]["comments"]
        if request.method == "GET":
            assert request.query["orderBy"] == "-created"
            assert request.query["expand"] == "properties"
            newest = comments[::-1][: int(request.query["maxResults"])]
            return answered({"comments": newest, "total": len(comments)})
        comment = json.loads(request.body)
        if bad_document(comment["body"]) or set(comment) - {"body", "properties", "visibility"}:
            return refused(400, comment="Comment body is not valid!")
        comments.append(comment)
        return answered({"id": "2"}, 201)

    def _move(self, key: str, request: Recorded) -> Behaviour:
        if request.method == "GET":
            steps = [("11", "indeterminate"), ("31", "done")] if self.issues[key]["status"] != "done" else []
            return answered(
                {"transitions": [{"id": i, "to": {"statusCategory": {"key": k}}} for i, k in steps]}
            )
        if json.loads(request.body) != {"transition": {"id": "31"}}:
            return refused(400, "wrong transition")
        self.issues[key]["status"] = "done"
        return Behaviour(status=204)
