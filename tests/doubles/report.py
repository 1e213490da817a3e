"""A file behind HTTP, as Workday serves a report: Basic or an access token, ETag, and conditional requests (RFC 9110 §13)."""

import base64
import hashlib
from dataclasses import dataclass, field

from cii_project.tools.scripted_sources.server import Answer, Asked, json_answer

WORKERS = "Employee ID,Work Email,First Name,Last Name,Worker Status,Manager ID\n" + "".join(
    f"{n},user{n}@example.com,User,Number{n},Active,0\n" for n in range(5)
)


@dataclass
class ScriptedReport:
    """``content`` at any path. ``has_etag``: whether it can be asked for conditionally. ``tokens``: those that are valid."""

    password = "of-the-isu-0123456789"
    client_secret = "of-the-client-0123456789"
    refresh_token = "refresh-0123456789"

    content: bytes = WORKERS.encode()
    content_type: str = "text/csv"
    headers: dict[str, str] = field(default_factory=dict)
    has_etag: bool = True
    tokens: list[str] = field(default_factory=list)
    base: str = ""

    def answer(self, asked: Asked) -> Answer:
        if asked.path.endswith("/token"):
            return self.token(asked)
        given = asked.headers.get("Authorization", "")
        valid = [f"Basic {_encoded('isu', self.password)}", *(f"Bearer {each}" for each in self.tokens)]
        if given not in valid:
            return json_answer({"error": "invalid username or password"}, 401)
        etag = f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'
        if self.has_etag and asked.headers.get("If-None-Match") == etag:
            return Answer(304, b"", {"ETag": etag})
        headers = {"Content-Type": self.content_type, **({"ETag": etag} if self.has_etag else {})}
        return Answer(200, self.content, headers | self.headers)

    def token(self, asked: Asked) -> Answer:
        if asked.headers.get("Authorization") != f"Basic {_encoded('client', self.client_secret)}":
            return json_answer({"error": "invalid_client"}, 401)
        if asked.form.get("grant_type") == "refresh_token" and (
            asked.form.get("refresh_token") != self.refresh_token
        ):
            return json_answer({"error": "invalid_grant", "error_description": "unknown refresh token"}, 400)
        self.tokens.append(f"access-{len(self.tokens)}-0123456789")
        return json_answer(
            {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 3600},
            headers={"Cache-Control": "no-store"},
        )


def _encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
