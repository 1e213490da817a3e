"""``demo --live``: Okta and Entra as scripted servers in this process, read through their APIs like real ones."""

import threading
import time
from collections.abc import Callable
from hashlib import blake2b

from django.utils import timezone

from checks.models import Source
from checks.services import add_source
from cii_project.errors import ProjectError
from cii_project.sync.driver import advance
from cii_project.sync.requests import start_sync
from cii_project.sync.status import running_sync
from cii_project.tools.demo.folder import ENTRA_PORT, OKTA_PORT
from cii_project.tools.demo.names import DOMAIN
from cii_project.tools.demo.sample_exports import SampleRecord
from cii_project.tools.scripted_sources.entra import SECRET, ScriptedEntra, entra_user
from cii_project.tools.scripted_sources.okta import ADMIN_LABELS, ScriptedOkta, okta_factor, okta_user
from cii_project.tools.scripted_sources.server import Provider, ScriptedServer
from integrations.models import SourceConnection, Sync
from integrations.services import API_SOURCES, JsonObject, save_connection

# Source → variable of the environment with its port.
LIVE_SOURCES = {"okta": OKTA_PORT, "entra": ENTRA_PORT}
# High enough that a first sync takes seconds: a real organization allows a hundredth of it.
CALLS_A_MINUTE = 60_000
# Okta's API lists no certificates as factors.
OKTA_FACTORS = {"fido2": "u2f", "certificate": "webauthn", "totp": "token:software:totp"}
OKTA_TEXTS = {"employeeNumber": "employee_id", "department": "department"}
OKTA_ROLES = {label: kind for kind, label in ADMIN_LABELS.items()}
ENTRA_METHODS = {
    "fido2": "fido2SecurityKey",
    "certificate": "x509CertificateMultiFactor",
    "totp": "softwareOneTimePasscode",
    "push": "microsoftAuthenticatorPush",
    "sms": "mobilePhone",
}
ENTRA_TYPES = {"internal": "Member", "guest": "Guest"}


class LiveSyncFailed(ProjectError):
    """A scripted source was not synced to its end."""


def scripted_okta(records: list[SampleRecord]) -> ScriptedOkta:
    """The organization whose export would hold these records."""
    okta = ScriptedOkta(calls=CALLS_A_MINUTE)
    members: dict[str, list[str]] = {}
    for record in records:
        key, login = _key("00u", record), record["login"]
        okta.users[key] = okta_user(
            key,
            login,
            status=record["status"],
            created=record["created_at"],
            statusChanged=record["status_changed_at"],
            lastLogin=record["last_sign_in_at"] or None,
            passwordChanged=record["password_changed_at"] or None,
            profile={
                # Okta gives no null for these, and no user is without an e-mail address.
                **{name: record[field] for name, field in OKTA_TEXTS.items() if record[field]},
                "email": record["email"] or (login if "@" in login else f"{login}@{DOMAIN}"),
                "firstName": record["first_name"] or None,
                "lastName": record["last_name"] or None,
                "displayName": record["display_name"] or None,
                "title": record["title"] or None,
                "managerId": record["manager"] or None,
                "userType": record["user_type"],
            },
        )
        okta.factors[key] = [_okta_factor(each["kind"], each["device"]) for each in record["mfa_factors"]]
        okta.roles[key] = [OKTA_ROLES.get(label, label) for label in record["admin_roles"]]
        for name in record["groups"]:
            members.setdefault(name, []).append(key)
    okta.groups = {f"00g{number}": each for number, each in enumerate(members.items())}
    return okta


def _okta_factor(kind: str, device: str) -> JsonObject:
    name = "phoneNumber" if kind in ("sms", "call") else "credentialId"
    return okta_factor(OKTA_FACTORS.get(kind, kind), **{name: device})


def scripted_entra(records: list[SampleRecord]) -> ScriptedEntra:
    """The tenant whose export would hold these records."""
    entra = ScriptedEntra()
    keys = {record["login"]: _key("u-", record) for record in records}
    for record in records:
        key = keys[record["login"]]
        moment = record["last_sign_in_at"] or None
        entra.users[key] = entra_user(
            key,
            record["login"],
            mail=record["email"] or None,
            displayName=record["display_name"],
            givenName=record["first_name"],
            surname=record["last_name"],
            employeeId=record["employee_id"] or None,
            department=record["department"] or None,
            jobTitle=record["title"] or None,
            companyName=record["company"] or None,
            accountEnabled=record["status"] == "active",
            userType=ENTRA_TYPES.get(record["user_type"]),
            createdDateTime=record["created_at"],
            lastPasswordChangeDateTime=record["password_changed_at"] or None,
            passwordPolicies="DisablePasswordExpiration" if record["password_never_expires"] else None,
            signInActivity={"lastSuccessfulSignInDateTime": moment, "lastSignInDateTime": moment},
        )
        entra.methods[key] = [ENTRA_METHODS.get(each["kind"], each["kind"]) for each in record["mfa_factors"]]
        if record["manager"] in keys:
            entra.managers[key] = keys[record["manager"]]
        for role in record["admin_roles"]:
            entra.roles.setdefault(role, []).append(key)
    return entra


def _key(prefix: str, record: SampleRecord) -> str:
    """An immutable id: the same for a user in every version of the data."""
    return prefix + blake2b(record["login"].encode(), digest_size=8).hexdigest()


def start_server(provider: Provider, port: int) -> ScriptedServer:
    """Serve the provider in a thread until the process ends."""
    server = ScriptedServer(provider, port=port)
    threading.Thread(target=server.serve, daemon=True, name="scripted source").start()
    return server


def _document(server: ScriptedServer) -> JsonObject:
    """The settings by which the scripted provider is read."""
    provider = server.provider
    if isinstance(provider, ScriptedOkta):
        return {
            "url": server.url,
            "authorization": "api_token",
            "api_token": provider.token,
            "passes": {"groups": True},
        }
    if isinstance(provider, ScriptedEntra):
        return {
            "tenant": provider.tenant,
            "client_id": provider.client_id,
            "client_secret": SECRET,
            "addresses": {"login": server.url, "graph": server.url},
        }
    raise TypeError(f"No source is read from {type(provider).__name__}. Use ScriptedOkta or ScriptedEntra.")


def connect(slug: str, name: str, server: ScriptedServer) -> SourceConnection:
    """The scripted provider as a connected source; an existing source gets the present address."""
    document = _document(server)
    if not Source.objects.filter(slug=slug).exists():
        add_source(slug=slug, name=name, kind="identity", provider=API_SOURCES[slug].provider)
    stored = SourceConnection.objects.filter(source_slug=slug).first()
    return save_connection(slug=slug, kind=slug, document=document, rate_share=100, connection=stored)[0]


def sync_now(connection: SourceConnection, progress: Callable[[Sync], None]) -> Sync:
    """A whole sync in this process. Raises :class:`LiveSyncFailed`."""
    sync = running_sync(connection) or start_sync(connection, Sync.Trigger.COMMAND)
    while sync.state == Sync.State.RUNNING:
        if not advance(sync.pk, seconds=1):
            sync.refresh_from_db()
            time.sleep(max(0.0, min((sync.due_at - timezone.now()).total_seconds(), 1.0)))
        sync.refresh_from_db()
        progress(sync)
    if sync.state != Sync.State.SUCCEEDED:
        raise LiveSyncFailed(f"The sync of {connection} ended as {sync.state}. {sync.error}")
    return sync
