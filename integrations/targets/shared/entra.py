"""Application sign-in at Microsoft Entra (OAuth client credentials), for the kinds that call a Microsoft API.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from dataclasses import replace

from integrations.auth.authorization import OAuthClientCredentials
from integrations.json_types import JsonObject
from integrations.target_data import Target
from integrations.targets.shared.setting_fields import Field

_GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_HINT = "Write the id as 8-4-4-4-12 hexadecimal digits."
APPLICATION_FIELDS = (
    Field(path="tenant_id", label="Directory (tenant) id", pattern=_GUID, hint=_HINT),
    Field(path="client_id", label="Application (client) id", pattern=_GUID, hint=_HINT),
    Field(path="client_secret", label="Client secret", help="Its value, not its id.", secret=True),
)
LOGIN_URL = Field(
    path="login_url",
    label="Entra address",
    help="Another one for a national cloud: https://login.microsoftonline.us",
    widget="url",
    required=False,
    default="https://login.microsoftonline.com",
)


def application(target: Target, scope: str) -> OAuthClientCredentials:
    """The authorization of the application in the target's settings (:data:`APPLICATION_FIELDS`, :data:`LOGIN_URL`)."""
    settings = target.settings
    authorization: JsonObject = {
        "type": "oauth",
        "endpoint": f"{settings['login_url'].rstrip('/')}/{settings['tenant_id']}/oauth2/v2.0/token",
        "method": "POST",
        "client_authentication": "body",
        "client_id": settings["client_id"],
        "parameters": {"body": {"scope": scope}},
    }
    secrets = {"authorization": {"client_secret": target.secrets["client_secret"]}}
    return OAuthClientCredentials(
        replace(target, settings={**settings, "authorization": authorization}, secrets=secrets)
    )
