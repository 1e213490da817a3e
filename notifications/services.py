"""Everything that a person or a command may ask of notifications."""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from checks import explanations
from checks.models import Check, CheckResult, Finding, Run, User
from checks.services import run_checks
from integrations.models import Integration
from notifications import (
    audit,
    bell,
    choosing,
    composing,
    digests,
    leasing,
    messages,
    payloads,
    planning,
    remaking,
    schedule,
)
from notifications.composing import Destination, Made, Occasion
from notifications.dispatch import send_once
from notifications.messages import MessageError
from notifications.models import (
    Audience,
    Configuration,
    Delivery,
    Event,
    MessageTemplate,
    Subscription,
    validate_zone,
)
from notifications.planning import Telling
from notifications.subscriptions import change_subscription as change_subscription
from notifications.subscriptions import subscribe as subscribe
from notifications.subscriptions import unsubscribe as unsubscribe

log = logging.getLogger(__name__)

FINAL = (Delivery.State.DEAD, Delivery.State.DELIVERED, Delivery.State.SKIPPED)
# So many due deliveries are worth one more worker.
WORTH_A_WORKER = 500
TEST_USERS = 5


# --- Runs -------------------------------------------------------------------------------------------
def run_and_notify(
    *,
    trigger: str,
    slugs: Sequence[str] = (),
    notify: bool = True,
    requested_by: Any = None,
    run: Run | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Run:
    """Run the checks and send what is new. The deliveries commit with the findings; then the bell rings."""
    rung = False

    def tell(run: Run, check: Check, result: CheckResult) -> None:
        nonlocal rung
        if planning.plan(run, check, result) and not rung:
            bell.ring()  # the first check's events need not wait for the last check
            rung = True

    finished: Run = run_checks(
        trigger=trigger,
        slugs=slugs,
        notify=notify,
        requested_by=requested_by,
        run=run,
        on_findings=tell if notify else None,
        progress=progress,
    )
    if notify:
        try:
            digests.plan_due()
        except Exception:
            log.exception("the rounds after run %s wait for the sweep", finished.pk)
        ring()
    return finished


def ring(*, at_work: int = 0) -> None:
    """Ask for as many workers as what is due is worth, beside those ``at_work``, each of which rings for a successor."""
    most = max(0, bell.dispatchers() - at_work)
    due = Delivery.objects.filter(state=leasing.DUE, due_at__lte=timezone.now())
    count = due[: WORTH_A_WORKER * most].count()
    if count:
        bell.ring(min(most, 1 + count // WORTH_A_WORKER))


def update_schedule(at: time, zone: str, *, by: Any = None) -> None:
    """Run the checks at this time of day in this zone. Raises ``ValidationError`` for an unknown zone."""
    validate_zone(zone)
    configuration = Configuration.load()
    if (configuration.run_time, configuration.run_zone) == (at, zone):
        return
    with transaction.atomic():
        configuration.run_time, configuration.run_zone = at, zone
        configuration.save(update_fields=["run_time", "run_zone"])
        schedule.reset(timezone.now())
        audit.note(by, configuration, f"The checks run at {at:%H:%M} {zone}.")


# --- By hand --------------------------------------------------------------------------------------
def send_current(
    check: Check, integration: Integration, *, by: Any = None, audience: str = Audience.LIST
) -> Event | None:
    """Send all who fail now, new or not, to one target, as far as its filter lets them. None: nobody."""
    telling = telling_of(check, integration, audience)
    findings = Finding.objects.filter(check_ref=check, resolved_at=None)
    if not choosing.narrow(findings, telling.filter, check).exists():
        return None
    now = timezone.now()
    with transaction.atomic():
        event = Event.objects.create(
            origin=Event.Origin.CURRENT, check_ref=check, created_at=now, requested_by=by
        )
        planning.fill(event, check, [telling], findings, now=now)
        audit.note(by, check, f"All who fail now sent to “{integration.name}” ({audience}).")
        bell.ring()
    return event


def telling_of(check: Check, integration: Integration, audience: str = Audience.LIST) -> Telling:
    """The target with its filter on this check; without one where it is not ticked."""
    found = Subscription.objects.filter(check_ref=check, integration=integration, audience=audience)
    return Telling(integration, audience, found.values_list("filter", flat=True).first() or {})


# --- Tests ------------------------------------------------------------------------------------------
def test_connectivity(integration: Integration, *, by: Any = None) -> Delivery:  # noqa: PT028  no test
    """Send the contract's WebhookTest once, now; its attempt (``delivery.log``) says what came back."""
    now = timezone.now()
    to = composing.destination(integration, Audience.LIST, None)

    def make(event: Event, delivery: Delivery) -> Made:
        return composing.connectivity_body(event, to, delivery.id, Configuration.load(), now)

    event = Event(origin=Event.Origin.CONNECTIVITY, created_at=now, requested_by=by)
    audit.note(by, integration, "Test Connectivity.")
    return _send_inline(event, to, make, probe=True)


def send_test_message(
    check: Check,
    integration: Integration,
    *,
    audience: str = Audience.LIST,
    template_text: str | None = None,
    by: Any = None,
) -> Delivery:
    """Send one message marked as a test, with real failing users where there are any; no retry.

    ``template_text``: a message that is not saved yet. Raises :class:`MessageError` where it is unsound.
    """
    if template_text is not None:
        messages.check(template_text, audience)
    to = composing.destination(integration, audience, check, template_text=template_text)
    event = Event(origin=Event.Origin.TEST, check_ref=check, created_at=timezone.now(), requested_by=by)

    def make(event: Event, delivery: Delivery) -> Made:
        on = composing.occasion(event, check)
        users, details = _failing(on, check, TEST_USERS)
        if audience == Audience.LIST:
            delivery.users = len(details)
            return composing.list_body(on, to, delivery.id, details, payloads.Batch(1, 1, len(details)))
        return _direct_test(on, to, delivery, users[0], details[0])

    audit.note(by, check, f"Test message to “{integration.name}” ({audience}).")
    return _send_inline(event, to, make)


def _direct_test(
    on: Occasion, to: Destination, delivery: Delivery, user: User, detail: payloads.LoginDetail
) -> Made:
    recipient, trust = _addressed(user, to.audience)
    delivery.users = 1
    return composing.direct_body(on, to, delivery.id, user, detail, trust, recipient)


def _addressed(user: User, audience: str) -> tuple[payloads.Recipient, str]:
    """Who would be written to about ``user`` (a sample manager where none is known), and the trust level."""
    recipient = composing.recipient_of(user, audience) or payloads.Recipient(
        "manager", "manager@example.com", "manager@example.com", "Sample Manager"
    )
    if user._state.adding:  # the sample person
        return recipient, payloads.trust_level(())
    findings = Finding.objects.filter(user=user, resolved_at=None)
    return recipient, payloads.trust_level(findings.values_list("check_ref__severity", flat=True))


def _failing(
    on: Occasion, check: Check, count: int, user: User | None = None
) -> tuple[list[User], list[payloads.LoginDetail]]:
    """Users who fail the check now, or ``user``, with their details; a sample person where nobody does."""
    findings = Finding.objects.filter(check_ref=check, resolved_at=None).select_related("user__manager")
    users = [user] if user else [finding.user for finding in findings.order_by("id")[:count]]
    if not users:
        sample = User(name="kim@example.com", email="kim@example.com", display_name="Kim Doe")
        return [sample], [{"login": sample.name, "details": []}]
    details = explanations.login_details(check, users, now=on.event.created_at, tenant_id=on.tenant.id)
    return users, list(details)


def _send_inline(
    event: Event, to: Destination, make: Callable[[Event, Delivery], Made], *, probe: bool = False
) -> Delivery:
    """Record, commit, send once, record. The lease keeps every worker's hands off meanwhile."""
    now = timezone.now()
    delivery = Delivery(
        id=uuid4(),
        event=event,
        integration=to.integration,
        audience=to.audience,
        created_at=now,
        state=Delivery.State.SENDING,
        lease=secrets.token_hex(16),
        lease_until=now + leasing.lease_time(),
    )
    try:
        made = make(event, delivery)
    except composing.NotRendered as problem:
        raise problem.why from None
    delivery.body, delivery.content_type = made.rendered.body, made.rendered.content_type
    delivery.message_error = made.message_error
    event.users = delivery.users
    with transaction.atomic():
        event.save(force_insert=True)
        delivery.save(force_insert=True)
    send = to.kind.probe if probe else to.kind.send
    send_once(delivery, lambda outgoing: send(outgoing, to.target))
    delivery.refresh_from_db()
    return delivery


# --- Replay -----------------------------------------------------------------------------------------
class ReplayRefused(Exception):
    """Says why a delivery cannot be sent again."""


def _replayable(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    return deliveries.filter(state__in=FINAL, body__isnull=False).exclude(
        integration__state=Integration.State.DISABLED
    )


def _make_due(deliveries: QuerySet[Delivery]) -> int:
    return deliveries.update(
        state=Delivery.State.DUE,
        due_at=timezone.now(),
        attempts=0,
        first_attempt_at=None,
        delivered_at=None,
        finished_at=None,
        reason="",
        lease="",
        lease_until=None,
        replays=F("replays") + 1,
    )


def replay(delivery: Delivery, by: Any = None) -> None:
    """Send a settled delivery again: the same id, the same bytes. Raises :class:`ReplayRefused`.

    One that could not be written when it was planned is written now. One statement decides and changes, so a delivery that a worker holds is never touched.
    """
    with transaction.atomic():
        mine = Delivery.objects.filter(id=delivery.id)
        if problem := remaking.remake(delivery):
            raise ReplayRefused(problem)
        if not _make_due(mine.filter(id__in=_replayable(mine).values("id"), state__in=FINAL)):
            delivery.refresh_from_db()
            raise ReplayRefused(_why_not(delivery))
        audit.note(by, delivery, f"Replayed to “{delivery.integration.name}”.")
        bell.ring()
    delivery.refresh_from_db()


def _why_not(delivery: Delivery) -> str:
    if delivery.state in Delivery.OPEN:
        return "This delivery is still open: it is sent anyway."
    if delivery.body is None:
        if delivery.state == Delivery.State.SKIPPED:
            return f"There is nothing to send: {delivery.reason}"
        return "The message is no longer kept (or was never made), so it cannot be sent again."
    return f"The target “{delivery.integration.name}” is disabled: resume it first."


def replay_matching(queryset: QuerySet[Delivery], by: Any = None) -> int:
    """Replay every delivery of ``queryset`` that can be; returns how many."""
    with transaction.atomic():
        chosen = _replayable(Delivery.objects.filter(id__in=queryset.order_by().values("id")))
        remaking.remake_all(chosen)
        chosen = chosen.exclude(content_type=remaking.UNRENDERED)
        count = _make_due(Delivery.objects.filter(id__in=chosen.values("id"), state__in=FINAL))
        if count:
            audit.note(by, Configuration.load(), f"Replayed {count} deliveries.")
    if count:
        ring()
    return count


# --- Messages ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Preview:
    """``text`` is empty where ``error`` is set. ``user``: whom it speaks of; ``sample``: nobody real."""

    text: str
    user: str
    sample: bool
    error: MessageError | None = None


def save_message(
    check: Check, kind: str, text: str, *, audience: str = Audience.LIST, by: Any = None
) -> MessageTemplate:
    """Store the message of a check for a kind of target. Raises :class:`MessageError` where it is unsound,
    on the sample or on a user who fails now."""
    messages.check(text, audience)
    shown = preview_message(check, text, audience=audience)
    if shown.error:
        raise shown.error
    with transaction.atomic():
        message, _ = MessageTemplate.objects.update_or_create(
            check_ref=check, kind=kind, audience=audience, defaults={"text": text, "updated_by": by}
        )
        audit.note(by, check, f"Message for {kind} ({audience}) changed.")
    return message


def reset_message(check: Check, kind: str, *, audience: str = Audience.LIST, by: Any = None) -> bool:
    """Back to the default. True if there was a customised message."""
    with transaction.atomic():
        removed, _ = MessageTemplate.objects.filter(check_ref=check, kind=kind, audience=audience).delete()
        if removed:
            audit.note(by, check, f"Message for {kind} ({audience}) reset to the default.")
    return bool(removed)


def message_text(check: Check, kind: str, audience: str = Audience.LIST) -> str:
    """The customised message, or the default: what the editor starts with."""
    stored = MessageTemplate.objects.filter(check_ref=check, kind=kind, audience=audience)
    return stored.values_list("text", flat=True).first() or messages.DEFAULTS[audience]


def preview_message(
    check: Check, text: str, *, audience: str = Audience.LIST, user: User | None = None
) -> Preview:
    """The message as it would read about a user who fails now (or ``user``); writes nothing."""
    event = Event(origin=Event.Origin.TEST, check_ref=check, created_at=timezone.now())
    on = composing.occasion(event, check)
    users, details = _failing(on, check, TEST_USERS, user)
    person = users[0]
    if audience == Audience.LIST:
        data = composing.list_data(on, details, payloads.Batch(1, 1, len(details)))
    else:
        recipient, trust = _addressed(person, audience)
        data = composing.direct_data(on, person, details[0], trust, recipient)
    sample = person._state.adding
    try:
        return Preview(messages.check(text, audience, data), person.name, sample)
    except MessageError as error:
        return Preview("", person.name, sample, error)
