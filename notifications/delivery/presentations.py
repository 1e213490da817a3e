"""The presentation of messages, read from the database."""

from checks.models import Check
from integrations.services import DEFAULT_ACCENT
from notifications.models import CheckMessageSettings, Configuration
from notifications.rendering.presentation import Presentation


def presentation_of(configuration: Configuration, check: Check | None = None) -> Presentation:
    """The presentation of a check's messages: the check's own settings, else the installation's."""
    own = CheckMessageSettings.objects.filter(check_ref=check).first() if check and check.pk else None
    own = own or CheckMessageSettings()
    return Presentation(
        organization=configuration.tenant_name,
        instructions_url=own.instructions_url or configuration.instructions_url,
        contact=own.contact or configuration.contact,
        due_days=own.due_days or configuration.due_days or 0,
        signature=(own.signature or configuration.signature).replace("\r\n", "\n").strip(),
        logo_url=configuration.logo_url,
        accent=configuration.accent_colour or DEFAULT_ACCENT,
        sender=own.sender,
        sender_name=own.sender_name,
        reply_to=own.reply_to,
        zone=configuration.run_zone,
        language=configuration.language,
    )
