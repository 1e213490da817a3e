"""SpamAssassin's score of the mails of all checks, by its local rules (no network, nothing learnt)."""

import mailbox
import os
import re
import subprocess

import pytest

from checks.models import Check
from integrations.services import save_integration
from notifications import services
from notifications.planning import loading
from notifications.rendering.batch import ListBatch
from notifications.rendering.payloads import BatchPosition, Item
from notifications.rendering.render import render
from tests.notifications.test_languages import MAIL, check_of, context_of, direct

__all__ = ["check_of"]
pytestmark = [pytest.mark.django_db, pytest.mark.spam]
MOST = 1.0  # of the 5 points at which SpamAssassin calls a mail spam


def mails(check):
    """The mails of a check to a user, a manager and a list of 30 users, in the installation's language."""
    integration = save_integration(
        name=f"Mail {check.slug}", kind="email", document=MAIL | {"sender_name": "Acme IT"}
    ).integration
    users = [Item.of({"login": f"kim{n}@example.com", "details": []}, f"Kim {n}", n) for n in range(1, 31)]
    batches = {kind: direct(check, "", kind) for kind in ("user", "manager")}
    batches["list"] = ListBatch(batches["user"].id, context_of(check), users, BatchPosition(1, 1, 30))
    for audience, batch in batches.items():
        yield render(loading.destination(integration, audience, check), batch).rendered.body


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_mail_scores_a_point(check_of, tmp_path, language):
    check_of("no-mfa")
    services.update_configuration(
        {
            "language": language,
            "tenant_name": "Acme",
            "instructions_url": "https://intranet.example.com/mfa",
            "logo_url": "https://www.example.com/logo.png",
            "base_url": "https://identity.example.com",
        }
    )
    box = mailbox.mbox(tmp_path / "mails", factory=None)
    for check in Check.objects.all():
        for body in mails(check):
            box.add(body)
    box.close()
    done = subprocess.run(
        ["spamassassin", "--local", "--nocreate-prefs", "--mbox", str(tmp_path / "mails")],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    head = r"^X-Spam-Status: \w+, score=(-?[\d.]+).*?^Subject:\s*([^\n]*)"
    scores = re.findall(head, done.stdout.decode("utf-8", "replace"), re.MULTILINE | re.DOTALL)
    assert len(scores) == 3 * Check.objects.count()
    assert [(subject, score) for score, subject in scores if float(score) >= MOST] == []
