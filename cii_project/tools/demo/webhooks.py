"""The demonstration's configuration file: a webhook of each authorization type, and who gets which check."""

import yaml

from checks.services import CATALOGUE

CLIENT_ID = "identity-checks"
BASIC_USER = "cii"
API_KEY_HEADER = "x-api-client-token"
WEBHOOK_NAMES = ("soar", "okta-workflows", "siem")


def targets_of(place: int, severity: str) -> list[str]:
    """Each check notifies one webhook, in turn; a critical one notifies the next, too."""
    count = 2 if severity == "critical" else 1
    return [WEBHOOK_NAMES[(place + step) % len(WEBHOOK_NAMES)] for step in range(count)]


def _signing(name: str) -> dict[str, object]:
    return {"secret": {"env": f"DEMO_{name}_SIGNING_SECRET"}}


def document(receiver: str, pages: str) -> dict[str, object]:
    """``receiver`` and ``pages`` are base URLs. Secrets are references to the environment."""
    integrations = [
        {
            "name": "soar",
            "kind": "webhook",
            "description": "Basic authorization",
            "url": f"{receiver}/basic/hook",
            "method": "POST",
            "authorization": {
                "type": "basic",
                "username": BASIC_USER,
                "password": {"env": "DEMO_SOAR_PASSWORD"},
            },
            "signing": _signing("SOAR"),
        },
        {
            "name": "okta-workflows",
            "kind": "webhook",
            "description": "An API key in a header",
            "url": f"{receiver}/api-key/invoke",
            "authorization": {"type": "api_key", "name": API_KEY_HEADER, "value": {"env": "DEMO_FLOW_TOKEN"}},
            "signing": _signing("FLOW"),
        },
        {
            "name": "siem",
            "kind": "webhook",
            "description": "OAuth client credentials",
            "url": f"{receiver}/oauth/in",
            "authorization": {
                "type": "oauth",
                "endpoint": f"{receiver}/oauth/token",
                "method": "POST",
                "client_authentication": "body",
                "client_id": CLIENT_ID,
                "client_secret": {"env": "DEMO_SIEM_SECRET"},
                "parameters": {
                    "header": {},
                    "query": {},
                    "body": {"audience": "siem", "scope": "events.write"},
                },
            },
            "parameters": {"header": {"X-Tenant": "acme"}, "query": {}, "body": {"team": "iam"}},
            "signing": _signing("SIEM"),
        },
    ]
    checks = {
        check.slug: {"enabled": True, "tags": ["demo"], "targets": targets_of(place, check.severity)}
        for place, check in enumerate(CATALOGUE.values())
    }
    return {
        "installation": {"tenant_name": "Acme (demonstration)", "base_url": pages},
        "schedule": {"time": "06:00", "zone": "UTC"},
        "integrations": integrations,
        "checks": checks,
    }


def as_yaml(receiver: str, pages: str) -> str:
    text: str = yaml.safe_dump(document(receiver, pages), sort_keys=False, allow_unicode=True)
    return (
        f"# Made by manage.py demo, applied with manage.py apply_config; see docs/configuration.md.\n{text}"
    )
