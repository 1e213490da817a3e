"""The one place where accounts change: imports, and links that a person makes or undoes."""

from django.db import connection, transaction
from django.utils import timezone

from checks import dialect
from checks.errors import ChecksError
from checks.importing import facts
from checks.importing.apply import (
    AllRecordsBad,
    ApiReading,
    ImportPreview,
    ImportRefused,
    StrictRefused,
    TooManyDeleted,
    import_accounts,
    preview_import,
)
from checks.importing.mappings import rules_of
from checks.importing.records import Raw, RecordParser
from checks.importing.rejoining import rejoin
from checks.importing.staging import Rejected
from checks.models import Account, Import, JoinReason, JoinSuggestion, Member, Source, User
from cii_project.audit import services as audit

__all__ = [
    "AllRecordsBad",
    "ApiReading",
    "Import",
    "ImportPreview",
    "ImportRefused",
    "Rejected",
    "StrictRefused",
    "TooManyDeleted",
    "import_accounts",
    "link_account",
    "preview_import",
    "record_problems",
    "unlink_account",
]


def record_problems(source: Source, raw: Raw) -> list[str]:
    """Why an import into the source would reject a record; empty where it would take it."""
    found = RecordParser(rules_of(source)).parse(raw)
    return [str(problem) for problem in found] if isinstance(found, list) else []


def link_account(account: Account, user: User, *, by: Member | None = None) -> Account:
    """Move an account to a user; later imports keep the two together. ``by``: the member who decides."""
    return _move(account, user, "Linked", by)


def unlink_account(account: Account, *, by: Member | None = None) -> Account:
    """Separate an account into its own user; later imports keep it there. ``by``: the member who decides."""
    return _move(account, None, "Unlinked", by)


def accept_suggestion(suggestion: JoinSuggestion, *, by: Member | None = None) -> None:
    """Join the account to the user. A record that waits is imported into its account, which keeps its user.

    Raises :class:`SuggestionDecided` where another member was faster, :class:`ImportRefused` where the record can no
    longer be imported.
    """
    with transaction.atomic():
        decide(suggestion, JoinSuggestion.State.ACCEPTED, by)
        if suggestion.record is None:
            link_account(suggestion.account, suggestion.user, by=by)
            return
        _audit(suggestion, "Accepted the record of", by)
    _import_record(suggestion)


def reject_suggestion(suggestion: JoinSuggestion, *, by: Member | None = None) -> None:
    """Keep the two apart; the join is not suggested again. A record that waits is imported as a new user's.

    Raises as :func:`accept_suggestion` does.
    """
    with transaction.atomic():
        decide(suggestion, JoinSuggestion.State.REJECTED, by)
        _audit(suggestion, "Rejected a join of", by)
        if suggestion.record is None:
            return
        # Without a user the account finds one when its record is imported. Findings and exclusions stay.
        Account.objects.filter(pk=suggestion.account_id).update(user=None, join_reason="")
        facts.refresh_users([suggestion.user_id])
    _import_record(suggestion)


class SuggestionDecided(ChecksError):
    """A member decided about the suggestion already."""


def decide(suggestion: JoinSuggestion, state: JoinSuggestion.State, by: Member | None) -> None:
    """Close an open suggestion. Raises :class:`SuggestionDecided`."""
    decided = JoinSuggestion.objects.filter(pk=suggestion.pk, state=JoinSuggestion.State.OPEN).update(
        state=state, decided_at=timezone.now(), decided_by_id=by.pk if by else None
    )
    if not decided:
        raise SuggestionDecided("This join was decided already.")


def _audit(suggestion: JoinSuggestion, done: str, by: Member | None) -> None:
    account = suggestion.account
    audit.record(
        audit.Action.CHANGE,
        suggestion.user,
        f"{done} the account {account}.",
        before={"suggestion": "open"},
        after={"suggestion": done, "account": account.login, "user": suggestion.user.name},
    )


def _import_record(suggestion: JoinSuggestion) -> None:
    account = suggestion.account
    import_accounts(
        [(1, suggestion.record)], source=account.source, decided={account.pk}, file_name="Decided record"
    )


def _move(account: Account, user: User | None, done: str, by: Member | None) -> Account:
    with transaction.atomic():
        with connection.cursor() as cursor:
            dialect.lock_accounts(cursor)
        account.refresh_from_db(fields=["user", "join_reason"])
        before, old_user = account.user_id, account.user
        by_member = {
            "join_reason": JoinReason.MEMBER,
            "joined_at": timezone.now(),
            "joined_by_id": by.pk if by else None,
        }
        if user and not user.accounts.filter(join_reason=JoinReason.MEMBER).exclude(pk=account.pk).exists():
            # The member says of two accounts that they are one user: neither is moved by an import.
            first = user.accounts.exclude(pk=account.pk).order_by("-source__kind", "pk").first()
            if first:
                Account.objects.filter(pk=first.pk).update(**by_member)
        account.user = user or User.objects.create(name=account.email or account.login)
        for name, value in by_member.items():
            setattr(account, name, value)
        account.save(update_fields=["user", "join_reason", "joined_at", "joined_by"])
        if old_user and old_user != account.user:
            _free_last(old_user)
        concerned = sorted({pk for pk in (before, account.user_id) if pk is not None})
        with connection.cursor() as cursor:
            marks = ", ".join(["%s"] * len(concerned))
            select = f"SELECT id FROM checks_account WHERE user_id IN ({marks})"  # noqa: S608  marks alone
            rejoin(cursor, select, concerned, timezone.now(), touched=concerned)
        audit.record(
            audit.Action.CHANGE,
            account.user,
            f"{done} the account {account}.",
            before={"user": old_user.name if old_user else None, "user id": before},
            after={"user": account.user.name, "user id": account.user_id},
        )
    return account


def _free_last(user: User) -> None:
    """If one account that a member joined is left in the user, its data decide again which user it belongs to."""
    joined = list(user.accounts.filter(join_reason=JoinReason.MEMBER)[:2])
    if len(joined) == 1:
        joined[0].join_reason, joined[0].joined_by = JoinReason.FIRST, None
        joined[0].save(update_fields=["join_reason", "joined_by"])
