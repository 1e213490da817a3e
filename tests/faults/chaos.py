"""The disturbances: each a method, drawn by a seed, counted. What it breaks it mends, as a supervisor would."""

import logging
import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import psutil
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from integrations import services as integrations
from integrations.models import Integration
from notifications import services
from notifications.models import Delivery
from tests.faults import world
from tests.faults.processes import Postgres, Process, Redis

log = logging.getLogger("faults")
T = TypeVar("T")
GONE = (OperationalError, InterfaceError)


def patiently(action: Callable[[], T], seconds: float = 60) -> T:
    """Do it, also while the database is down."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except GONE:
            if time.monotonic() > deadline:
                raise
            with suppress(*GONE):
                connection.close()
            time.sleep(0.2)


class Chaos(threading.Thread):
    """Disturbs until it is asked to stop, then leaves everything running."""

    def __init__(
        self,
        *,
        seed: int,
        clusters: list[Process],
        base: str,
        signing: dict[str, list[str]],
        lease: float,
        postgres: Postgres | None,
        redis: Redis | None,
    ) -> None:
        super().__init__(name="chaos", daemon=True)
        self.dice = random.Random(seed)
        self.clusters, self.base, self.signing, self.lease = clusters, base, signing, lease
        self.postgres, self.redis = postgres, redis
        self.port = int(base.rpartition(":")[2])
        self.counts: Counter[str] = Counter()
        self.frozen: list[tuple[threading.Timer, psutil.Process]] = []
        self.ended = threading.Event()
        self.errors: list[str] = []
        self.rotations = 0
        self.weights: dict[str, float] = {
            "kill_worker": 8,
            "kill_cluster": 2,
            "kill_sentinel": 1,
            "terminate_cluster": 1,
            "freeze_worker": 2,
            "move_due_times": 4,
            "run_leases_out": 2,
            "replay": 3,
            "pause_and_resume": 1,
            "edit": 2,
            "rotate_secret": 1,
            "revoke_tokens": 2,
            "outage": 2,
            "gone": 0.7,
        }
        if postgres:
            self.weights["restart_postgres"] = 1.5
        if redis:
            self.weights["restart_redis"] = 2

    def run(self) -> None:
        while not self.ended.wait(self.dice.uniform(0.2, 1.8)):
            self.mend()
            name = self.dice.choices(list(self.weights), list(self.weights.values()))[0]
            try:
                patiently(getattr(self, name))
                self.counts[name] += 1
            except Exception as error:
                log.exception("%s", name)
                self.errors.append(f"{name}: {type(error).__name__}: {error}")
        connection.close()

    def mend(self) -> None:
        """What a supervisor does: a cluster whose process has ended is started again, all of it."""
        for cluster in self.clusters:
            if not cluster.running:
                self.counts["supervised restarts"] += 1
                cluster.kill()
                cluster.start()

    def stop(self) -> None:
        self.ended.set()
        self.join(60)
        for timer, process in self.frozen:
            timer.cancel()
            thaw(process)
        self.mend()

    # --- Processes ---
    def _cluster(self) -> Process:
        return self.dice.choice(self.clusters)

    def _below_sentinel(self, cluster: Process | None = None) -> list[psutil.Process]:
        """Workers, monitor and pusher of one cluster; the first child is its sentinel."""
        children = (cluster or self._cluster()).children()
        return sorted(children[1:], key=lambda process: process.pid)

    def kill_each_part(self) -> None:
        """While nothing is to do: whichever process waits for a task, it is killed while it does."""
        for cluster in self.clusters:
            for process in self._below_sentinel(cluster):
                with suppress(psutil.Error):
                    process.kill()
                time.sleep(1)  # its successor is started each half second
        self.mend()

    def _victim(self) -> psutil.Process | None:
        """Half of the time a process that is sending right now, else any below the sentinel."""
        found = self._below_sentinel()
        if self.dice.random() < 0.5:
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                if sending := [process for process in found if self._sends(process)]:
                    return self.dice.choice(sending)
                time.sleep(0.02)
        return self.dice.choice(found) if found else None

    def _sends(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return any(
                each.raddr and each.raddr.port == self.port and each.status == psutil.CONN_ESTABLISHED
                for each in process.net_connections("tcp4")
            )
        return False

    def kill_worker(self) -> None:
        if victim := self._victim():
            with suppress(psutil.Error):
                victim.kill()

    def kill_cluster(self) -> None:
        cluster = self._cluster()
        cluster.kill()
        time.sleep(self.dice.uniform(0, 2))
        cluster.start()

    def kill_sentinel(self) -> None:
        with suppress(psutil.Error, IndexError):
            self._cluster().children()[0].kill()

    def terminate_cluster(self) -> None:
        cluster = self._cluster()
        cluster.terminate()
        cluster.start()

    def freeze_worker(self) -> None:
        """Stopped for longer than its lease, then let go on: its deliveries are in others' hands by then.

        By a clock of its own: it may hold SQLite's lock, which the next disturbance would wait for in vain.
        """
        if process := self._victim():
            timer = threading.Timer(self.lease + self.dice.uniform(0, 3), thaw, [process])
            timer.daemon = True
            with suppress(psutil.Error):
                process.suspend()
                timer.start()
                self.frozen.append((timer, process))

    def restart_redis(self) -> None:
        assert self.redis
        self.redis.kill()
        time.sleep(self.dice.uniform(0, 2))
        self.redis.start()

    def restart_postgres(self) -> None:
        assert self.postgres
        self.postgres.stop("immediate")
        time.sleep(self.dice.uniform(0, 1.5))
        self.postgres.start()
        close_old_connections()

    # --- Clocks ---
    def move_due_times(self) -> None:
        """Some next attempts at once, some later; open breakers may try."""
        now = timezone.now()
        due = list(Delivery.objects.filter(state="due").values_list("id", flat=True)[:2000])
        some = self.dice.sample(due, len(due) // 3)
        half = len(some) // 2
        Delivery.objects.filter(id__in=some[:half], state="due").update(due_at=now)
        later = now + timedelta(seconds=self.dice.uniform(1, 8))
        Delivery.objects.filter(id__in=some[half:], state="due").update(due_at=later)
        Integration.objects.filter(breaker_until__gt=now).update(breaker_until=now)

    def run_leases_out(self) -> None:
        """As if the clock had jumped: deliveries under way are free for others."""
        deadline, sending = time.monotonic() + 1.5, []
        while not sending and time.monotonic() < deadline:
            sending = list(Delivery.objects.filter(state="sending").values_list("id", flat=True)[:500])
        some = self.dice.sample(sending, len(sending) // 3)
        past = timezone.now() - timedelta(seconds=1)
        Delivery.objects.filter(id__in=some, state="sending").update(lease_until=past)

    # --- People ---
    def _some_target(self) -> Integration:
        return Integration.objects.get(name=self.dice.choice(world.TARGETS).name)

    def replay(self) -> None:
        settled = Delivery.objects.filter(state__in=("delivered", "dead"))
        chosen = [row.id for row in settled.only("id").order_by("-finished_at")[: self.dice.randint(1, 40)]]
        services.replay_matching(Delivery.objects.filter(id__in=chosen))

    def pause_and_resume(self) -> None:
        target = self._some_target()
        if target.state != Integration.State.ACTIVE:
            return
        integrations.pause(target, "by the suite")
        time.sleep(self.dice.uniform(0.2, 2))
        patiently(lambda: integrations.resume(Integration.objects.get(id=target.id)))

    def edit(self) -> None:
        target = self._some_target()
        Integration.objects.filter(id=target.id).update(
            description=f"edited {self.dice.random()}",
            concurrency=self.dice.choice((4, 16, 64)),
            updated_at=timezone.now(),
        )

    def rotate_secret(self) -> None:
        target = self._some_target()
        self.rotations += 1
        world.rotate(target, self.signing[f"/{target.name}"], self.rotations)

    # --- The receiver ---
    def control(self, what: str) -> None:
        request = urllib.request.Request(f"{self.base}/control/{what}", data=b"", method="POST")
        urllib.request.urlopen(request, timeout=10).read()

    def revoke_tokens(self) -> None:
        self.control("revoke")

    def outage(self) -> None:
        self.control("outage")

    def gone(self) -> None:
        """410 for a while, then the receiver is back, and its owner resumes it and replays the dead letters."""
        self.control("gone")
        time.sleep(self.dice.uniform(0.2, 1.5))
        self.control("back")
        patiently(resume_gone)


def thaw(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        process.resume()


def resume_gone() -> None:
    target = Integration.objects.get(name="gone")
    if target.state != Integration.State.DISABLED:
        return
    integrations.resume(target)
    services.replay_matching(Delivery.objects.filter(integration=target, state="dead"))
