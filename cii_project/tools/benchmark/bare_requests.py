"""The lower bound of ``deliver``: a plain loop of requests. Besides integrations.transport the only code that
connects."""

# ruff: noqa: TID251  see above

from collections.abc import Iterable

import requests


def post_all(url: str, events: Iterable[tuple[str, bytes]], *, trust_env: bool) -> None:
    """Post each (id, body) in turn over one session. ``trust_env``: requests' default, True, reads the
    environment and ``.netrc`` for each request."""
    with requests.Session() as session:
        session.trust_env = trust_env
        session.auth = ("benchmark", "a-password")
        session.headers["Content-Type"] = "application/json; charset=utf-8"
        for id, body in events:
            answer = session.post(url, data=body, headers={"webhook-id": id}, timeout=5)
            answer.raise_for_status()
