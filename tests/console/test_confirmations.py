"""What is destructive, or concerns many, asks first or can be undone."""

import re
from pathlib import Path

from django.conf import settings

TEMPLATES = Path(settings.BASE_DIR) / "templates" / "console"
SENDS = re.compile(r"<(?:form|button)\b(?=[^>]*(?:method=\"post\"|hx-post=))[^>]*>")
NAME = re.compile(r"console:([\w-]+)")
# Controls that send at once, by the name of their address, and why that is right.
AT_ONCE = {
    # A form whose Save is the decision, and which refuses what was changed meanwhile (test_form_versions.py).
    "check-settings": "a form",
    "upload-columns": "a step of an import; nothing is imported yet",
    "upload-words": "a step of an import; nothing is imported yet",
    "upload-import": "says before what it would change; lacking accounts have to be allowed",
    # Undone by the same control.
    "check-target": "is the Undo itself",
    "integration-pause": "undone by Resume",
    "integration-resume": "undone by Pause",
    "source-pause": "undone by Resume",
    "source-resume": "undone by Pause",
    "joining-accept": "undone by Unlink on the user's page",
    "joining-reject": "undone by Link on the user's page",
    # Concerns one message, or changes nothing.
    "delivery-replay": "one delivery, with its own id",
    "delivery-send-now": "one delivery that would be sent later",
    "message-test": "one message, marked as a test",
    "integration-test": "a test",
    "source-test": "a test",
    "integration-body-preview": "changes nothing",
    "integration-reveal": "changes nothing; on record",
    "source-sync": "what the schedule does as well; a listing that lacks many is held",
    "run-cancel": "only of a run that has evaluated nothing yet",
}
# Forms without an address of their own: the page's own, with a Save.
FORMS = {
    "messages/page.html",
    "settings/preferences.html",
    "settings/page.html",
    "integrations/form.html",
    "sources/connection_form.html",
    "sources/list.html",
    "sources/source.html",
}


def is_dialog(text: str) -> bool:
    return 'component "console/parts/dialog.html"' in text


def test_each_control_that_changes_something_asks_or_says_why_not():
    unasked = set()
    for file in sorted(TEMPLATES.rglob("*.html")):
        text = file.read_text()
        if is_dialog(text):
            continue
        for control in SENDS.findall(text):
            if "confirm=" in control or "hx-get=" in control:
                continue
            name = NAME.search(control)
            unasked.add(name[1] if name else str(file.relative_to(TEMPLATES)))
    assert unasked - AT_ONCE.keys() - FORMS == set()
    assert (AT_ONCE.keys() | FORMS) - unasked == set(), "no longer there"
