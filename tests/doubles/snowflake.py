"""Snowflake's SQL API on loopback: verifies the token as documented, runs the statements on DuckDB.

sqlglot reads them as Snowflake's dialect. Three things are rewritten that DuckDB spells another way: VARIANT is JSON, a text
out of JSON is taken with ``->>``, and FLATTEN of an array is UNNEST.
"""

import base64
import hashlib
import json
import re
from typing import Any

import duckdb
import sqlglot
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.receiver import Behaviour, Receiver, Recorded

BODY = {"statement", "timeout", "database", "schema", "warehouse", "role", "bindings", "parameters"}


class Account:
    def __init__(self, receiver: Receiver, key: rsa.RSAPublicKey, name: str = "MYORG-ACCOUNT1") -> None:
        self.key, self.name = key, name
        self.database = duckdb.connect()
        self.database.execute("ATTACH ':memory:' AS SECURITY; CREATE SCHEMA SECURITY.PUBLIC")
        self.statements: list[str] = []
        self.answers: list[Behaviour] = []
        receiver.script("/api/v2/statements", self._execute)

    def rows(self, table: str = "SECURITY.PUBLIC.IDENTITY_CHECKS") -> list[dict[str, Any]]:
        found = self.database.execute(f"SELECT * FROM {table} ORDER BY LOGIN")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _execute(self, request: Recorded) -> Behaviour:
        if not self._known(request):
            return _refused(401, "390144", "JWT token is invalid.")
        asked = json.loads(request.body)
        if set(asked) - BODY or asked.get("warehouse") != "COMPUTE_WH" or asked.get("database") != "SECURITY":
            return _refused(422, "000606", "No active warehouse selected in the current session.")
        if self.answers:
            return self.answers.pop(0)
        self.statements.append(asked["statement"])
        values = [asked["bindings"][str(n)]["value"] for n in range(1, len(asked.get("bindings", {})) + 1)]
        try:
            self.database.execute(translated(asked["statement"]), values)
        except duckdb.CatalogException:
            return _refused(422, "002003", "SQL compilation error: Object does not exist or not authorized.")
        return Behaviour(
            body=json.dumps({"code": "090001", "message": "Statement executed successfully."}).encode()
        )

    def _known(self, request: Recorded) -> bool:
        if request.header("X-Snowflake-Authorization-Token-Type") != "KEYPAIR_JWT" or not request.header(
            "User-Agent"
        ):
            return False
        token = (request.header("Authorization") or "").removeprefix("Bearer ").encode()
        signed, _, signature = token.rpartition(b".")
        claims = json.loads(_decoded(signed.partition(b".")[2]))
        public = self.key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        fingerprint = base64.b64encode(hashlib.sha256(public).digest()).decode()
        subject = f"{self.name}.ROBOT"
        if (claims["iss"], claims["sub"]) != (f"{subject}.SHA256:{fingerprint}", subject):
            return False
        if not 0 < claims["exp"] - claims["iat"] <= 3600:
            return False
        self.key.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
        return True


def translated(statement: str) -> str:
    (text,) = sqlglot.transpile(statement, read="snowflake", write="duckdb")
    text = text.replace(" VARIANT", " JSON").replace("CAST(f.value -> ", "CAST(f.value ->> ")
    return re.sub(
        r"FROM TABLE\(UNNEST\(INPUT => JSON\(\?\)\)\) AS f",
        "FROM (SELECT UNNEST(CAST(? AS JSON[])) AS value) AS f",
        text,
    )


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def _refused(status: int, code: str, message: str) -> Behaviour:
    return Behaviour(status=status, body=json.dumps({"code": code, "message": message}).encode())
