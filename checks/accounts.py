"""The one place where accounts change: imports, and links that a person makes or undoes."""

from django.db import connection, transaction

from checks import dialect, facts
from checks.importing import ImportRefused, StrictRefused, import_accounts
from checks.models import Account, Import, User
from checks.staging import Rejected

__all__ = [
    "Import",
    "ImportRefused",
    "Rejected",
    "StrictRefused",
    "import_accounts",
    "link_account",
    "unlink_account",
]


def link_account(account: Account, user: User) -> Account:
    """Move an account to a user for good: later imports keep the link."""
    return _move(account, user)


def unlink_account(account: Account) -> Account:
    """Give an account a user of its own; later imports keep it there."""
    return _move(account, None)


def _move(account: Account, user: User | None) -> Account:
    with transaction.atomic():
        with connection.cursor() as cursor:
            dialect.lock_accounts(cursor)
        account.refresh_from_db(fields=["user", "linked_by_hand"])
        before = account.user_id
        account.user = user or User.objects.create(name=account.email or account.login)
        account.linked_by_hand = True
        account.save(update_fields=["user", "linked_by_hand"])
        facts.refresh_users({pk for pk in (before, account.user_id) if pk is not None})
    return account
