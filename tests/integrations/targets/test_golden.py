"""Every kind's bytes, compared with a file of its golden folder for each sort of event.

UPDATE_GOLDEN=1 writes the files again, for a person to read the difference.
"""

from typing import Any

import pytest

from integrations.targets import KINDS
from tests.integrations.targets import events
from tests.integrations.targets.test_every_kind import SAMPLES, WEBHOOK, document

EVENTS: dict[str, dict[str, Any]] = {
    "list": events.failed(),
    "many": events.failed(events.users(50), message="Hi *all* <!channel>,\n\nplease look."),
    "hostile": events.failed([events.user(login) for login in events.HOSTILE]),
    "formatted": events.failed(
        message=events.formatted("<http://x|y> [a](http://x) @channel kim_lee@example.com")
    ),
    "resolved": events.resolved(),
    "direct": events.direct(message="Hello Ann,\n\nkim@example.com has no second factor."),
    "test": events.connectivity(),
}
# Beside the sample of the shared tests: what makes a message as full as it can be.
MORE: dict[str, dict[str, Any]] = {
    "email": {"sender_name": "Identity checks", "reply_to": "soc@example.com", "unsubscribe": "mailto:soc@example.com"},
    "jira": {"priority": True, "labels": ["iam"]},
    "servicenow": {"assignment_group": "IAM"},
}  # fmt: skip
SUFFIXES = {"splunk": "jsonl", **dict.fromkeys(("email", "sendgrid", "mailgun", "msgraph"), "eml")}
# Compared by tests/integrations/test_targets.py and test_webhook.py.
OTHERS = {"webhook/body.json", "webhook/document.json", "event.json"}


def golden(slug: str, name: str) -> str:
    return f"{name}.{SUFFIXES.get(slug, 'json')}"


def names(slug: str) -> list[str]:
    return [name for name in EVENTS if name != "direct" or "user" in KINDS[slug].audiences]


CASES = [(slug, name) for slug in KINDS for name in names(slug)]


@pytest.mark.parametrize(("slug", "name"), CASES)
def test_bytes_are_those_of_the_golden_file(slug, name):
    samples = SAMPLES | {"webhook": [WEBHOOK]}
    assert slug in samples, f"{slug}: add a sample to SAMPLES in test_every_kind.py"
    kind = KINDS[slug]
    body = kind.render(
        EVENTS[name], events.target(kind, document(samples[slug][-1]) | MORE.get(slug, {}))
    ).body
    assert body
    events.matches_golden(slug, golden(slug, name), body)


def test_every_golden_file_is_compared():
    there = {str(path.relative_to(events.GOLDEN)) for path in events.GOLDEN.rglob("[!.]*.*")}
    assert there == {f"{slug}/{golden(slug, name)}" for slug, name in CASES} | OTHERS
