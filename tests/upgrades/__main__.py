"""``python -m tests.upgrades record | build VERSION | missing VERSION``, on the database of DATABASE_URL.

``record`` needs no settings: it sets an installation of the current version up on SQLite, uses it and writes its
migrations and rows to this folder. Run it when a version is released, and commit what it wrote.
"""

import json
import os
import re
import sys
import tempfile
from io import StringIO
from pathlib import Path

KEYS = {
    "SECRET_KEY": "recorded-secret-key-of-fifty-characters-0123456789-ab",
    "FIELD_KEYS": "0gyWtnK3n2sLJfl5mXnhXgZ6n0j2C6pJ9m8tVw1k0bQ=",
}
HEADER = (
    "login,email,display_name,status,user_type,department,manager,created_at,last_sign_in_at,mfa_enabled\n"
)
# Dates that no check's limit lies between, so that the counts stay the same as time passes.
USERS = [
    "boss@example.com,Boss,active,internal,IT,,2020-01-01,2020-02-01,true",
    "ann@example.com,Ann Älv,active,internal,IT,boss@example.com,2020-01-01,2020-02-01,{ann}",
    "bob@example.com,Bob,active,internal,Sales,boss@example.com,2020-01-01,,{bob}",
    "cem@example.com,Cem,suspended,contractor,Sales,ann@example.com,2020-01-01,2020-02-01,false",
]
CONFIGURATION = {
    "installation": {"tenant_name": "Acme", "base_url": "https://checks.example.com"},
    "checks": {
        "no-mfa": {
            "tags": ["pci"],
            "targets": [
                "soar",
                {"name": "soar", "audience": "user"},
                {"name": "mail", "audience": "manager"},
            ],
            "messages": {"webhook": "{{ check.title }}"},
        },
        "no-manager": {
            "severity": "low",
            "targets": [{"name": "mail", "cadence": "daily", "resolved": True}],
        },
    },
}


def _targets(url: str) -> list[dict[str, object]]:
    authorization = {"type": "basic", "username": "cii", "password": "recorded-password"}
    parameters = {"header": {"X-Tenant": "acme"}}
    return [
        {"name": "soar", "kind": "webhook", "url": url, "authorization": authorization, "parameters": parameters},
        {
            "name": "mail", "kind": "email", "host": "mail.example.com", "sender": "checks@example.com",
            "to": ["soc@example.com"],
        },
    ]  # fmt: skip


def _use(folder: Path) -> dict[str, int]:
    """Use a new installation as people do; the failing users of each check at the end."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    from notifications.tasks import dispatch_due
    from tests.receiver import Receiver

    call_command("setup", verbosity=0, stdout=sys.stderr)
    member = get_user_model().objects.create_superuser("admin", "admin@example.com", "a recorded password")
    client = Client(SERVER_NAME="localhost")
    client.force_login(member)
    with Receiver() as receiver:
        configuration = folder / "configuration.json"
        document = {**CONFIGURATION, "integrations": _targets(receiver.url("/hook"))}
        configuration.write_text(json.dumps(document), encoding="utf-8")
        call_command("apply_config", configuration, stdout=sys.stderr)
        for mfa in ({"ann": "false", "bob": "true"}, {"ann": "true", "bob": "false"}):
            users = folder / "users.csv"
            lines = "".join(f"{line.partition(',')[0]},{line}\n" for line in USERS)
            users.write_text(HEADER + lines.format(**mfa), encoding="utf-8")
            call_command("import_users", str(users), source="okta", stdout=sys.stderr)
            call_command("run_checks", stdout=sys.stderr)
            dispatch_due()
    user = re.findall(r'href="/users/([0-9]+)/"', client.get("/users/?check=no-manager").content.decode())[0]
    for url, fields in (
        (f"/checks/no-manager/exclude/{user}", {"reason": "recorded", "until": ""}),
        ("/filters/users/save", {"name": "Recorded", "query": "q=ann"}),
    ):
        assert client.post(url, fields).status_code < 400, url
    call_command("run_checks", stdout=sys.stderr)
    out = StringIO()
    call_command("run_checks", dry_run=True, format="json", stdout=out)
    return {row["check"]: row["failing"] for row in json.loads(out.getvalue())["checks"]}


def record() -> None:
    """Write the current version's migrations and rows."""
    from django.conf import settings
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    from tests.upgrades import recorded

    with tempfile.TemporaryDirectory() as folder:
        failing = _use(Path(folder))
    leaves = sorted(MigrationLoader(connection).graph.leaf_nodes())
    files = {
        "migrations.json": {
            "leaves": leaves, "files": recorded.checksums(), "keys": KEYS, "failing": failing,
        },
        "rows.json": recorded.rows(),
    }  # fmt: skip
    target = recorded.FOLDER / f"v{settings.VERSION}"
    target.mkdir(exist_ok=True)
    for name, content in files.items():
        text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=name == "migrations.json")
        (target / name).write_text(text + "\n", encoding="utf-8")
    print(target)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1] == "record":
            os.environ.update(
                KEYS, DATA_DIR=folder, ALLOWED_NETWORKS="127.0.0.0/8", DATABASE_URL="", REDIS_URL=""
            )
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cii_project.settings")
        import django

        django.setup()
        from tests.upgrades import recorded

        if sys.argv[1] == "record":
            record()
        elif sys.argv[1] == "build":
            recorded.build(sys.argv[2])
        else:
            print(json.dumps(recorded.missing(sys.argv[2])))


main()
