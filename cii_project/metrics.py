"""/metrics for Prometheus: read from the database at each scrape, so that every host and process says the same.

Counters and histograms are totals that only rise (``AttemptTotal``); what is true now is a gauge.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Sum
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from checks.models import Run
from cii_project.sync.status import progress_of
from integrations.models import SourceConnection, Sync
from notifications.models import Attempt, AttemptTotal, Delivery, Event

RECENT_ATTEMPTS = timedelta(hours=1)
# The content type of generate_latest for names of letters, digits and underscores, as here.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Health = dict[str, object]


@dataclass(frozen=True, slots=True)
class MetricDeclaration:
    """One metric by its exposed name. ``kind``: gauge, counter or histogram; ``labels`` in their order."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()


# docs/reference/metrics.md is written from this.
DECLARED: Mapping[str, MetricDeclaration] = {
    declared.name: declared
    for declared in (
        MetricDeclaration("cii_cluster_up", "gauge", "Whether a cluster runs"),
        MetricDeclaration(
            "cii_oldest_due_seconds", "gauge", "Seconds by which the oldest due delivery is late"
        ),
        MetricDeclaration(
            "cii_open_holds", "gauge", "Holds of direct messages that wait for a member's decision"
        ),
        MetricDeclaration(
            "cii_deliveries",
            "gauge",
            "Deliveries that are held, due, being sent or dead letters",
            ("kind", "state"),
        ),
        MetricDeclaration(
            "cii_attempts_last_hour", "gauge", "Attempts of the last hour by outcome", ("kind", "outcome")
        ),
        MetricDeclaration("cii_attempts_total", "counter", "Attempts by outcome", ("kind", "outcome")),
        MetricDeclaration(
            "cii_attempt_latency_seconds",
            "histogram",
            "Time from the start of an attempt to its answer",
            ("kind",),
        ),
        MetricDeclaration("cii_runs", "gauge", "Runs by state", ("state",)),
        MetricDeclaration("cii_last_run_finished_timestamp_seconds", "gauge", "When the last run ended"),
        MetricDeclaration(
            "cii_check_failing", "gauge", "Users failing a check in the last run", ("check", "severity")
        ),
        MetricDeclaration(
            "cii_source_listed_timestamp_seconds",
            "gauge",
            "When a source's users were last listed",
            ("source", "kind"),
        ),
        MetricDeclaration(
            "cii_source_pushed_timestamp_seconds",
            "gauge",
            "When a source last pushed a user or group",
            ("source", "kind"),
        ),
        MetricDeclaration(
            "cii_source_syncs", "gauge", "The state of each source's newest sync", ("source", "state")
        ),
        MetricDeclaration(
            "cii_source_pass_read_ratio",
            "gauge",
            "The part of a running sync's pass that is read, 0 to 1",
            ("source", "pass"),
        ),
    )
}


def exposition(health: Health, now: datetime) -> bytes:
    """All metrics in Prometheus' text format. ``health`` is what /healthz says."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_DatabaseCollector(health, now))
    return generate_latest(registry)


class _DatabaseCollector(Collector):
    def __init__(self, health: Health, now: datetime) -> None:
        self.health, self.now = health, now

    def collect(self) -> Iterator[Metric]:
        yield from _health(self.health)
        yield _deliveries()
        yield _recent_attempts(self.now)
        yield from _attempt_totals()
        yield from _runs()
        yield from _sources()


def _gauge(name: str, samples: Iterable[tuple[Sequence[str], float]]) -> GaugeMetricFamily:
    declared = DECLARED[name]
    family = GaugeMetricFamily(name, declared.text, labels=declared.labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _health(health: Health) -> Iterator[Metric]:
    yield _gauge("cii_cluster_up", [((), float(health.get("cluster") == "ok"))])
    for name, key in (("cii_oldest_due_seconds", "oldest_due_seconds"), ("cii_open_holds", "open_holds")):
        yield _gauge(name, [((), float(str(health.get(key, 0))))])


def _deliveries() -> Metric:
    unsettled = Delivery.objects.filter(state__in=(*Delivery.PENDING, Delivery.State.DEAD)).order_by()
    rows = unsettled.values_list("integration__kind", "state").annotate(Count("pk"))
    return _gauge("cii_deliveries", [((kind, state), count) for kind, state, count in sorted(rows)])


def _recent_attempts(now: datetime) -> Metric:
    recent = Attempt.objects.filter(started_at__gte=now - RECENT_ATTEMPTS).order_by()
    recent = recent.exclude(delivery__event__origin__in=Event.TESTS)
    rows = recent.values_list("delivery__integration__kind", "outcome").annotate(Count("pk"))
    return _gauge(
        "cii_attempts_last_hour", [((kind, outcome), count) for kind, outcome, count in sorted(rows)]
    )


def _attempt_totals() -> Iterator[Metric]:
    rows = AttemptTotal.objects.order_by()
    declared = DECLARED["cii_attempts_total"]
    attempts = CounterMetricFamily(declared.name, declared.text, labels=declared.labels)
    for kind, outcome, count in sorted(rows.values_list("kind", "outcome").annotate(Sum("attempts"))):
        attempts.add_metric([kind, outcome], count)
    yield attempts
    declared = DECLARED["cii_attempt_latency_seconds"]
    latency = HistogramMetricFamily(declared.name, declared.text, labels=declared.labels)
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    for kind, bucket, count in rows.values_list("kind", "bucket_ms").annotate(Sum("attempts")):
        counts[kind][bucket] = count
    for kind, spent in sorted(rows.values_list("kind").annotate(Sum("milliseconds"))):
        latency.add_metric([kind], _cumulative(counts[kind]), spent / 1000)
    yield latency


def _cumulative(counts: Mapping[int, int]) -> list[tuple[str, float]]:
    """Upper bound in seconds, and the number of attempts that took at most this time. ``counts``: by upper
    bound in milliseconds."""
    total, buckets = 0, []
    for bound in AttemptTotal.BUCKETS_MS:
        total += counts.get(bound, 0)
        buckets.append((f"{bound / 1000:g}", float(total)))
    return [*buckets, ("+Inf", float(total + counts.get(AttemptTotal.SLOWER, 0)))]


def _runs() -> Iterator[Metric]:
    rows = Run.objects.order_by().values_list("state").annotate(Count("pk"))
    yield _gauge("cii_runs", [((state,), count) for state, count in sorted(rows)])
    last = Run.objects.filter(finished_at__isnull=False).order_by("-finished_at").first()
    if last is None or last.finished_at is None:
        return
    finished = last.finished_at.timestamp()
    yield _gauge("cii_last_run_finished_timestamp_seconds", [((), float(round(finished)))])
    results = last.results.select_related("check_ref").order_by("check_ref__slug")
    samples = [((one.check_ref.slug, one.severity), float(one.failing)) for one in results]
    yield _gauge("cii_check_failing", samples)


def _sources() -> Iterator[Metric]:
    listed: list[tuple[Sequence[str], float]] = []
    states: list[tuple[Sequence[str], float]] = []
    ratios: list[tuple[Sequence[str], float]] = []
    pushed: list[tuple[Sequence[str], float]] = []
    for source in SourceConnection.objects.all():
        slug = source.source_slug
        if source.last_success_at:
            listed.append(([slug, source.kind], float(round(source.last_success_at.timestamp()))))
        if source.last_push_at:
            pushed.append(([slug, source.kind], float(round(source.last_push_at.timestamp()))))
        newest = source.syncs.first()
        if newest is None:
            continue
        states.append(([slug, newest.state], 1))
        if newest.state == Sync.State.RUNNING:
            ratios += [
                ([slug, one.reading.slug], min(one.done / one.total, 1.0))
                for one in progress_of(newest)
                if one.total
            ]
    yield _gauge("cii_source_listed_timestamp_seconds", listed)
    yield _gauge("cii_source_pushed_timestamp_seconds", pushed)
    yield _gauge("cii_source_syncs", states)
    yield _gauge("cii_source_pass_read_ratio", ratios)
