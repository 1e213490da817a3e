"""Two clusters with addresses of their own on one PostgreSQL and Redis share the work.

The receiver's latency is the bound: few sends at a time, a slow answer, hardly any CPU.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.brokers import get_broker

from integrations.services import save_integration
from notifications.delivery import task_requests
from notifications.delivery.leases import LOST
from notifications.models import Attempt, Delivery, Event
from tests.faults.processes import Process
from tests.network.hosts import Host, Net, forwarded, hosts
from tests.receiver import Behaviour, Receiver, Recorded
from tests.waiting import until

pytestmark = [
    pytest.mark.network,
    pytest.mark.redis,
    pytest.mark.postgres,
    pytest.mark.django_db(transaction=True),
]

WORKERS = 3  # of each cluster; one stays free for runs and sweeps
SENDERS = WORKERS - 1
IN_FLIGHT = 8
LATENCY = 0.5
ENOUGH = 1.7
SWEEP = "notifications.tasks.sweep"


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    with hosts(2) as made:
        # Saving a target asks the address rule too, not only the hosts that send.
        monkeypatch.setattr(settings, "ALLOWED_NETWORKS", [made.network])
        yield made


@pytest.fixture
def receiver(net: Net) -> Iterator[Receiver]:
    with Receiver(host=net.address, address=net.address) as made:
        made.script("/hook", Behaviour(delay=LATENCY))
        yield made


@pytest.fixture
def start(net: Net, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a cluster on a host, as its operator would. PostgreSQL and Redis are on another one."""
    database, redis = connection.settings_dict, urlsplit(settings.REDIS_URL)
    broker = get_broker()
    broker.purge_queue()
    started: list[Process] = []
    with (
        forwarded(net.address, (database["HOST"], int(database["PORT"] or 5432))) as to_database,
        forwarded(net.address, (redis.hostname or "", redis.port or 6379)) as to_redis,
    ):

        def start_on(host: Host, **more: str) -> Process:
            user = ":".join(filter(None, (database["USER"], database["PASSWORD"])))
            environment = {
                "DJANGO_SETTINGS_MODULE": "cii_project.settings",
                "DATABASE_URL": f"postgres://{user}@{net.address}:{to_database}/{database['NAME']}",
                "REDIS_URL": redis._replace(netloc=f"{net.address}:{to_redis}").geturl(),
                "ALLOWED_NETWORKS": net.network,
                "WORKERS": str(WORKERS),
                "DISPATCH_IN_FLIGHT": str(IN_FLIGHT),
                **more,
            }
            cluster = host.manage(tmp_path / f"{host.namespace}.log", "qcluster", environment=environment)
            started.append(cluster)
            return cluster.start()

        try:
            yield start_on
        finally:
            for cluster in started:
                cluster.terminate()
            broker.purge_queue()


def arm(receiver: Receiver, count: int) -> set[str]:
    """Make ``count`` deliveries due and wake every worker of every host; the ids of the deliveries."""
    document = {
        "url": receiver.url(),
        "authorization": {"type": "api_key", "name": "x-token", "value": "of the test"},
    }
    target = save_integration(
        name=f"target {time.monotonic()}", kind="webhook", document=document, limits={"concurrency": 1000}
    ).integration
    now = timezone.now()
    event = Event.objects.create(origin="current", created_at=now)
    made = Delivery.objects.bulk_create(
        Delivery(event=event, integration=target, batch=place, body=b"{}", created_at=now, due_at=now)
        for place in range(count)
    )
    task_requests.request_dispatch(task_requests.dispatch_workers())
    return {str(delivery.id) for delivery in made}


def settled() -> bool:
    return not Delivery.objects.filter(state__in=Delivery.OPEN).exists()


def sent(receiver: Receiver, ids: set[str]) -> list[Recorded]:
    return [request for request in receiver.requests if request.header("webhook-id") in ids]


def rate(requests: list[Recorded]) -> float:
    """Requests a second between the first and the last fifth."""
    times = sorted(request.at for request in requests)
    first, last = len(times) // 5, len(times) * 4 // 5
    return (last - first) / (times[last] - times[first])


def ids_of(requests: list[Recorded]) -> Counter[str]:
    return Counter(str(request.header("webhook-id")) for request in requests)


def test_two_hosts_share_the_work_and_send_each_event_once(net, receiver, start, record_testsuite_property):
    one, two = net.hosts
    start(one)
    until(lambda: task_requests.dispatch_workers() == SENDERS)
    ratios = []
    # A machine that is busy with something else is slow, not wrong: the ratio may be measured again.
    alone = _rate_of(receiver, 200, {one.address})
    start(two)
    until(lambda: task_requests.dispatch_workers() == 2 * SENDERS)
    for _ in range(3):
        ratios.append(_rate_of(receiver, 400, {one.address, two.address}) / alone)
        if ratios[-1] >= ENOUGH:
            break
    record_testsuite_property("two hosts against one", ratios)
    assert max(ratios) >= ENOUGH
    assert not Attempt.objects.exclude(outcome="delivered").exists()


def _rate_of(receiver: Receiver, count: int, addresses: set[str]) -> float:
    """Events a second; each arrives exactly once, and every host delivers at least an eighth: how they share is chance."""
    ids = arm(receiver, count)
    until(settled)
    requests = sent(receiver, ids)
    assert ids_of(requests) == Counter(ids)
    shares = Counter(request.peer for request in requests)
    assert set(shares) == addresses
    if len(addresses) > 1:
        assert min(shares.values()) >= count / 8
    return rate(requests)


def test_what_a_host_held_when_it_died_is_sent_by_the_other(net, receiver, start, record_testsuite_property):
    short = {
        "LEASE_SECONDS": "8",
        "DISPATCH_SECONDS": "5",
        "TASK_TIMEOUT": "60",
        "TASK_RETRY": "75",
        "BACKOFF_BASE": "1",
    }
    one, two = net.hosts
    start(one, **short)
    dying = start(two, **short)
    until(lambda: task_requests.dispatch_workers() == 2 * SENDERS)
    ids = arm(receiver, 600)
    until(lambda: sum(request.peer == two.address for request in receiver.requests) > 100)
    died = time.time()
    dying.kill()

    def settled_by_a_sweep() -> bool:
        task_requests.request_task(SWEEP)
        return settled()

    until(settled_by_a_sweep)

    requests = sent(receiver, ids)
    counted = ids_of(requests)
    assert set(counted) == ids
    assert {request.peer for request in requests if request.at > died + 1} == {one.address}
    lost = {
        str(id) for id in Attempt.objects.filter(reason=LOST.reason).values_list("delivery_id", flat=True)
    }
    first = {}
    for request in sorted(requests, key=lambda request: request.at):
        first.setdefault(request.header("webhook-id"), request)
    repeated = [first[id] for id, count in counted.items() if count > 1]
    assert {request.header("webhook-id") for request in repeated} <= lost
    # Only what was under way, or had come back a moment ago and was not on record yet, goes again. Results are recorded every
    # fifth of a second; on a busy machine it takes longer than a wave of answers, so the bound is what three seconds send.
    assert all(request.peer == two.address and request.at > died - 3 for request in repeated)
    assert len(repeated) <= SENDERS * IN_FLIGHT * (1 + 3 / LATENCY)
    record_testsuite_property("leases run out, events repeated", (len(lost), len(repeated)))
