"""One seed: servers, receiver, clusters, runs, disturbances, until all is settled; then the comparison of the log with the database.

    python -m tests.faults.scenario FOLDER SEED DATABASE EVENTS

Prints one line of JSON at the end. Everything it starts it ends, by id.
"""

import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.processes import Postgres, Process, Redis, free_port, manage
from tests.faults.receiver import Plan

LEASE = 8
WORKERS = 2
CLUSTERS = 2
SHARE = 0.35
TOKEN_SHARE = 0.35
SWEEP_EVERY = 3.0
# The disturbances go on at least so long, and until all is planned and most of it sent.
CHAOS_LEAST, CHAOS_MOST = 45.0, 240.0
# A run by the queue may take so long; deliveries may stand still for so long.
PATIENCE = 300.0
QUIET = 60.0
DEAF_AFTER = 45.0
log = logging.getLogger("faults")


def environment(folder: Path, database: str, redis: Redis | None) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "cii_project.settings",
        "SECRET_KEY": "of the fault suite alone, fifty characters long ......",
        "FIELD_KEYS": "0gyWtnK3n2sLJfl5mXnhXgZ6n0j2C6pJ9m8tVw1k0bQ=",
        "DATA_DIR": str(folder),
        "DATABASE_URL": database,
        "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0" if redis else "",
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "WORKERS": str(WORKERS),
        "DISPATCH_SECONDS": "5",
        "DISPATCH_IN_FLIGHT": "48",
        "LEASE_SECONDS": str(LEASE),
        "TASK_TIMEOUT": "60",
        "TASK_RETRY": "75",
        "BACKOFF_BASE": "1",
        "BACKOFF_CAP": "4",
        "LOG_LEVEL": "INFO",
    }


class Scenario:
    def __init__(self, folder: Path, seed: int, database: str, events: int, stack: ExitStack) -> None:
        self.folder, self.seed, self.events, self.stack = folder, seed, events, stack
        self.dice = random.Random(seed)
        self.postgres: Postgres | None = None
        self.redis: Redis | None = None
        if database == "postgres":
            self.postgres = Postgres(folder)
            self.postgres.start()
            stack.callback(self.postgres.stop)
            self.postgres.create_database()
            self.redis = Redis(folder)
            self.redis.start()
            stack.callback(self.redis.kill)
        url = self.postgres.url if self.postgres else f"sqlite:///{folder / 'db.sqlite3'}"
        os.environ.update(environment(folder, url, self.redis))
        import django

        django.setup()
        logging.getLogger("django-q").setLevel(logging.WARNING)
        self.began = time.monotonic()
        self.notes: list[str] = []
        self.refused = self.killed_runs = 0

    def note(self, text: str) -> None:
        log.info("%5.1f s  %s", time.monotonic() - self.began, text)

    # --- The parts ---
    def start(self) -> None:
        from tests.faults import world
        from tests.faults.chaos import Chaos

        signing = world.signing_secrets()
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        world.build(base, signing, self.events)
        self.witness = self.folder / "receiver.jsonl"
        plan = Plan(
            self.seed,
            port,
            str(self.witness),
            SHARE,
            TOKEN_SHARE,
            signing,
            world.BASIC,
            world.KEY,
            world.CLIENT,
        )
        (self.folder / "plan.json").write_text(json.dumps(asdict(plan)), encoding="utf-8")
        command = [sys.executable, "-m", "tests.faults.receiver", str(self.folder / "plan.json")]
        self._keep(Process(command, self.folder / "receiver.log", ready="listening"))
        clusters = [
            self._keep(manage(self.folder / f"cluster{number}.log", "qcluster")) for number in range(CLUSTERS)
        ]
        self.chaos = Chaos(
            seed=self.dice.getrandbits(32),
            clusters=clusters,
            base=base,
            signing=signing,
            lease=LEASE,
            postgres=self.postgres,
            redis=self.redis,
        )

    def _keep(self, process: Process) -> Process:
        self.stack.callback(process.kill)
        process.start()
        return process

    # --- Runs, some of them killed ---
    def import_users(self, first: int, last: int) -> None:
        from tests.faults import world

        path = self.folder / f"users{first}.csv"
        world.write_users(path, first, last)
        for _ in range(20):
            command = manage(self.folder / "commands.log", "import_users", str(path), "--source", "okta")
            command.start()
            if command.wait(120) == 0:
                return
        raise RuntimeError("users could not be imported; see commands.log")

    def run_command(self) -> Process:
        command = manage(self.folder / "commands.log", "run_checks")
        self.stack.callback(command.kill)
        command.start()
        return command

    def kill_a_run(self) -> None:
        """SIGKILL in the middle: when some checks are done and others are not."""
        from checks.models import CheckResult, Run
        from tests.faults.chaos import patiently

        before = patiently(CheckResult.objects.count)
        wanted = self.dice.randint(1, 20)
        command = self.run_command()
        while command.running:
            if patiently(CheckResult.objects.count) - before >= wanted:
                command.kill()
                self.killed_runs += 1
                break
            time.sleep(0.005)
        done = patiently(CheckResult.objects.count) - before
        states = patiently(lambda: list(Run.objects.values_list("state", flat=True)))
        self.note(f"a run was killed after {done} checks; runs: {states}")

    def run_twice_at_once(self) -> None:
        """Two commands at the same moment; one is refused. Again until one has finished."""
        for _ in range(30):
            both = [self.run_command(), self.run_command()]
            codes = [command.wait(180) for command in both]
            self.refused += codes.count(2)
            self.note(f"two runs at once ended with {codes}")
            if 0 in codes:
                return
        raise RuntimeError("no run has finished; see commands.log")

    def run_by_queue(self) -> None:
        """Asked for by a person, carried out by whichever worker lives; died ones are started again by the sweep."""
        from django.conf import settings

        from checks.models import Run
        from checks.services import RunRefused, request_run
        from notifications.delivery import task_requests
        from tests.faults.chaos import patiently

        started = patiently(Run.objects.count)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                run = patiently(lambda: request_run(trigger=Run.Trigger.PERSON))
                task_requests.request_task(settings.RUN_TASK, str(run.id))
                break
            except RunRefused:
                self.sweep()
                time.sleep(1)
        while time.monotonic() < deadline:
            self.sweep()
            later = patiently(
                lambda: list(Run.objects.order_by("created_at").values_list("state", flat=True)[started:])
            )
            if "succeeded" in later:
                self.note(f"a run by the queue: {later}")
                return
            if later and later[-1] in ("failed", "partial"):
                # The database went away in the middle: the person sees an error and asks again.
                return self.run_by_queue()
            time.sleep(1)
        raise RuntimeError("the queue has not finished a run")

    # --- The whole ---
    def sweep(self) -> None:
        """The schedule's minute, shortened."""
        from notifications.delivery import task_requests

        now = time.monotonic()
        if now - getattr(self, "swept", 0.0) > SWEEP_EVERY:
            self.swept = now
            task_requests.request_task("notifications.tasks.sweep")

    def open_deliveries(self) -> int:
        from notifications.models import Delivery
        from tests.faults.chaos import patiently

        return patiently(lambda: Delivery.objects.filter(state__in=Delivery.PENDING).count())

    def play(self) -> dict[str, Any]:
        from tests.faults import comparison, world
        from tests.faults.chaos import resume_gone

        self.start()
        users = world.users_for(self.events)
        self.chaos.start()
        self.import_users(0, users // 2)
        self.kill_a_run()
        self.run_twice_at_once()
        self.import_users(users // 2, users)
        self.run_by_queue()
        self.settle(self._disturbed_enough, QUIET)
        self.chaos.stop()
        self.note(f"disturbances end: {dict(self.chaos.counts)}")
        resume_gone()
        self.settle(lambda left: left == 0, QUIET)
        self.chaos.kill_each_part()
        deaf = self.deaf_clusters()
        report = comparison.compare(self.witness)
        report.none_of("clusters that look alive and take no task", deaf)
        report.problems += self.chaos.errors
        return {
            "seed": self.seed,
            "database": "postgres" if self.postgres else "sqlite",
            "seconds": round(time.monotonic() - self.began),
            "problems": report.problems,
            "disturbances": dict(self.chaos.counts),
            "runs killed": self.killed_runs,
            "runs refused": self.refused,
            **report.figures,
        }

    def _disturbed_enough(self, left: int) -> bool:
        lasted = time.monotonic() - self.began
        return (left < self.events // 10 and lasted > CHAOS_LEAST) or lasted > CHAOS_MOST

    def settle(self, done: Callable[[int], bool], seconds: float) -> None:
        """Until ``done(open deliveries)``, or nothing has moved for ``seconds``."""
        left, moved, said = -1, time.monotonic(), 0.0
        while True:
            before, left = left, self.open_deliveries()
            now = time.monotonic()
            moved = now if left != before else moved
            if done(left) or now - moved > seconds:
                return
            self.sweep()
            if not self.chaos.is_alive():
                self.chaos.mend()
                self.hurry()
            if now - said > 10:
                said = now
                self.note(f"{left} deliveries open")
            time.sleep(0.5)

    def deaf_clusters(self) -> list[str]:
        """The logs of the clusters that take none of many tasks: another cluster must not cover for them."""
        from notifications.delivery import task_requests

        marks = [(cluster.log, cluster.log.stat().st_size) for cluster in self.chaos.clusters]
        deadline = time.monotonic() + DEAF_AFTER
        while True:
            deaf = [str(log) for log, mark in marks if b" processing " not in log.read_bytes()[mark:]]
            if not deaf or time.monotonic() > deadline:
                return deaf
            task_requests.request_task("notifications.tasks.sweep")
            time.sleep(0.3)

    def hurry(self) -> None:
        """The clock of the breakers, moved: half a minute's pause need not be waited for."""
        from django.utils import timezone

        from integrations.models import Integration

        Integration.objects.filter(breaker_until__gt=timezone.now()).update(breaker_until=timezone.now())


def main() -> int:
    folder, seed, database, events = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with ExitStack() as stack:
        try:
            result = Scenario(folder, seed, database, events, stack).play()
        finally:
            if "django" in sys.modules:
                from django.db import connections

                connections.close_all()
    print(json.dumps(result))
    return 1 if result["problems"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}; see the log beside it")
