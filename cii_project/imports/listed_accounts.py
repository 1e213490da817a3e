"""The status of accounts whose export has no column for it: AWS IAM and GitHub list the users of an account or organisation.

A listed user is active, unless another file of the source said something else: what is not read keeps its last value.
"""

from collections.abc import Mapping

from checks.models import Account, Source, Status
from checks.services import folded


class ListedStatuses:
    """The statuses of listed users of one source."""

    def __init__(self, source: Source) -> None:
        self._by_id: dict[str, str] = {}
        self._by_login: dict[str, str] = {}
        if not source.pk:
            return
        # A deleted account that is listed again is active. The others are few.
        known = Account.objects.filter(source=source).exclude(status__in=(Status.ACTIVE, Status.DELETED))
        for source_key, login_key, status in known.values_list("source_key", "login_key", "status"):
            if status:
                self._by_login[login_key] = status
            if status and source_key:
                self._by_id[source_key] = status

    def status_of(self, record: Mapping[str, object]) -> str:
        """The stored status of a record's account, else active."""
        login, source_key = (str(record.get(name) or "").strip() for name in ("login", "source_key"))
        return self._by_id.get(source_key) or self._by_login.get(folded(login)) or Status.ACTIVE.value
