"""The kinds of target; one file each. Add one: a module here and a line below."""

from integrations.targets.base import TargetKind
from integrations.targets.email import Email
from integrations.targets.file import File
from integrations.targets.jira import Jira
from integrations.targets.pagerduty import PagerDuty
from integrations.targets.sentinel import Sentinel
from integrations.targets.servicenow import ServiceNow
from integrations.targets.slack import Slack
from integrations.targets.snowflake import Snowflake
from integrations.targets.teams import Teams
from integrations.targets.webex import Webex
from integrations.targets.webhook import Webhook

KINDS: dict[str, TargetKind] = {
    kind.slug: kind
    for kind in (
        Webhook(),
        Slack(),
        Teams(),
        Webex(),
        Email(),
        Jira(),
        ServiceNow(),
        PagerDuty(),
        Sentinel(),
        Snowflake(),
        File(),
    )
}


def get(slug: str) -> TargetKind:
    """The kind of that name. Raises KeyError with the names that exist."""
    try:
        return KINDS[slug]
    except KeyError:
        raise KeyError(f"There is no kind “{slug}”. Kinds: {', '.join(KINDS)}.") from None
