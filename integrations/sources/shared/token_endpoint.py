"""The access token of a source by OAuth client credentials (RFC 6749 §4.4)."""

import json
import time
from collections.abc import Callable, Mapping

from django.utils import timezone

from integrations.auth.client_assertions import (
    ASSERTION_TYPE,
    LIFETIME,
    Algorithm,
    client_claims,
    private_key,
    signed_token,
)
from integrations.auth.token_answers import AnswerError, parse_token_answer
from integrations.json_types import JsonMapping
from integrations.source_data import Fault, SourceFault, SourceSettings
from integrations.sources.shared.api_source import AccessToken
from integrations.sources.shared.source_call import ProofAuth, SourceCall


def request_token(
    call: SourceCall,
    path: str,
    form: Mapping[str, str],
    *,
    proof_key: str = "",
    check: Callable[[JsonMapping], None] = lambda answer: None,
) -> AccessToken:
    """POST the form to the token endpoint. ``proof_key``: the PEM of a key to which the token is bound (DPoP); ``check`` raises what
    is wrong with an answer that has a token. Raises :class:`~integrations.source_data.SourceFault`.

    What the endpoint refuses is a fault of the credential: another request would be refused too.
    """
    try:
        proof = ProofAuth(proof_key) if proof_key else None
        answer, _ = call.send("POST", path, limit="token", form=form, auth=proof)
    except SourceFault as fault:
        if fault.fault in (Fault.THROTTLED, Fault.TEMPORARY, Fault.OURS):
            raise
        raise SourceFault(f"No access token. {fault}", Fault.CREDENTIAL, status=fault.status) from fault
    try:
        value = answer.value
        if proof_key and isinstance(value, dict) and str(value.get("token_type")).lower() == "dpop":
            value = {**value, "token_type": "Bearer"}
        body = json.dumps(value).encode()
        found = parse_token_answer(200, "application/json", body, timezone.now())
    except AnswerError as error:
        raise SourceFault(
            call.shown(f"No access token. The token endpoint: {error}"), Fault.CREDENTIAL
        ) from None
    check(value if isinstance(value, dict) else {})
    return AccessToken(found.token, found.lifetime, proof_key)


def client_assertion(
    source: SourceSettings,
    audience: str,
    *,
    header: Mapping[str, object] | None = None,
    algorithm: Algorithm = "RS256",
    lifetime: int = LIFETIME,
) -> dict[str, str]:
    """The parameters of a token request by which the client proves itself with its private key (RFC 7523 §2.2).

    ``header``: of the assertion; by default the setting ``key_id``, if it is there. ``lifetime``: seconds. Each has a unique
    id and is accepted once. Raises :class:`~integrations.auth.client_assertions.SigningKeyError`.
    """
    if header is None:
        key_id = source.settings.get("key_id")
        header = {"kid": key_id} if key_id else {}
    claims = client_claims(source.settings["client_id"], audience, time.time(), lifetime=lifetime)
    key = private_key(source.secrets.get("private_key", ""))
    return {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed_token(claims, key, header, algorithm),
    }


def oauth_error(value: object) -> str:
    """``error`` and ``error_description`` of an answer (RFC 6749 §5.2); "" without them."""
    if not isinstance(value, dict) or not isinstance(value.get("error"), str):
        return ""
    description = value.get("error_description")
    return f"{value['error']}: {description}" if isinstance(description, str) else str(value["error"])
