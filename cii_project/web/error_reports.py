"""Error pages that show no secret, DEBUG or not.

Django's own filter goes by the names of settings, so that a password inside DATABASE_URL passes, and with DEBUG it leaves
what was posted and the local variables of each frame as they are.
"""

import re
from collections.abc import ItemsView
from types import FrameType

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from integrations.masking import mask, settings_secrets

# A page with the source lines of many frames is long; it is shown to one developer.
LONGEST_PAGE = 16 * 1024 * 1024
SHORTEST_POSTED = 8


class ErrorFilter(SafeExceptionReporterFilter):
    """Names stay, values go: of what was posted, of cookies and of local variables, which may hold unsealed secrets."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|DATABASE_URL|REDIS|PROXY|EMAIL_URL|EMAIL_CONFIG",
        re.IGNORECASE,
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, object]:
        return dict.fromkeys(request.POST, self.cleansed_substitute) if request is not None else {}

    def get_safe_cookies(self, request: HttpRequest | None) -> dict[str, object]:
        return dict.fromkeys(getattr(request, "COOKIES", {}), self.cleansed_substitute)

    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, object]:
        return {name: _TypeOnly(value) for name, value in tb_frame.f_locals.items()}.items()


class _TypeOnly:
    def __init__(self, value: object) -> None:
        self.name = type(value).__qualname__

    def __repr__(self) -> str:
        return f"<{self.name}>"


class ErrorReporter(ExceptionReporter):
    """Masks the installation's secrets, and what was posted, in the whole report: its texts may quote them."""

    def get_traceback_html(self) -> SafeString:
        return self._masked(super().get_traceback_html())

    def get_traceback_text(self) -> SafeString:
        return self._masked(super().get_traceback_text())

    def _masked(self, report: SafeString) -> SafeString:
        posted = [text for texts in self.request.POST.lists() for text in texts[1]] if self.request else []
        secrets = {*settings_secrets(), *(str(text) for text in posted if len(str(text)) >= SHORTEST_POSTED)}
        # As safe as before: a mask holds no markup.
        return SafeString(mask(report, secrets, longest=LONGEST_PAGE))  # nosec B703
