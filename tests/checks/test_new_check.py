"""The recipe of docs/recipes.md, "Add a check": its code, in one new file, is a check of the product."""

import os
import re
import subprocess
import sys
from pathlib import Path

from django.conf import settings

CODE = re.compile(r"## Add a check\n.*?```python\n(.*?)```", re.DOTALL)
LOGINS = ("ann@example.com", "bob@example.com")
CSV = "login,user_type,status,department\nann@example.com,guest,active,\nbob@example.com,guest,active,Sales\n"


def recipe() -> str:
    found = CODE.search((settings.BASE_DIR / "docs" / "recipes.md").read_text(encoding="utf-8"))
    assert found, "docs/recipes.md has no code below “Add a check”"
    return found[1]


def test_a_file_in_the_catalogue_is_a_check_from_setup_to_its_finding(tmp_path: Path) -> None:
    """In a copy of the project, since the file must not exist for the other tests; with the commands of the recipe."""
    copy = tmp_path / "project"
    copy.mkdir()
    for name in ("checks", "cii_project", "integrations", "notifications", "templates", "static", "docs"):
        if name != "checks":
            (copy / name).symlink_to(settings.BASE_DIR / name)
    for path in (settings.BASE_DIR / "checks").rglob("*.py"):
        target = copy / path.relative_to(settings.BASE_DIR)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (copy / "manage.py").write_bytes((settings.BASE_DIR / "manage.py").read_bytes())
    (copy / "checks" / "catalogue" / "guest_without_department.py").write_text(recipe(), encoding="utf-8")
    # A fact of its own, as CONTRIBUTING.md says: one column more, at the end of its table.
    models = copy / "checks" / "models.py"
    fact = "    is_invited = models.BooleanField(null=True)\n"
    before, meta, after = models.read_text(encoding="utf-8").partition(
        "    employee_key = models.CharField(max_length=128, blank=True, editable=False)\n\n    class Meta:\n"
    )
    assert meta
    models.write_text(before + meta.replace("\n\n", f"\n{fact}\n") + after, encoding="utf-8")
    export = tmp_path / "guests.csv"
    export.write_text(CSV, encoding="utf-8")

    def manage(*arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
        environment |= {
            "DATA_DIR": str(tmp_path / "data"),
            "DATABASE_URL": "",
            "DJANGO_SETTINGS_MODULE": "cii_project.settings",
        }
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            check=False,
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert re.search(r"migrations/\d{4}_", manage("makemigrations", "checks"))
    manage("setup")
    manage("import_users", str(export), "--source", "okta")
    shown = manage("run_checks", "guest-without-department")
    assert re.search(r"guest-without-department\D+2\D+1\b", shown), shown
