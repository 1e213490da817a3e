"""``benchmark deliver``: what a real cluster sends, against one bare loop that posts the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from django.conf import settings

from cii_project.tools.benchmark.measuring import Measurement
from cii_project.tools.benchmark.scratch import Scratch, StepFailed
from cii_project.tools.benchmark.sink import LATENCY
from integrations.services import JsonObject

WORKERS = 2
IN_FLIGHT = 128
TARGETS = 20
TURNS = 3
FEW = 10_000  # fewer messages than this are sent faster than a cluster starts
START_SECONDS = 60
SEND_SECONDS = 900
Say = Callable[[str], None]
DeliverResult = JsonObject


@dataclass(slots=True)
class RunningSink:
    port: int
    process: "subprocess.Popen[str]"

    def counted(self) -> DeliverResult:
        """End it; what it has counted."""
        output, _ = self.process.communicate(timeout=30)
        found: DeliverResult = json.loads(output)
        return found


@contextmanager
def sink() -> Iterator[RunningSink]:
    process = subprocess.Popen(  # our own interpreter and command  # nosec B603
        [sys.executable, "-m", "cii_project.tools.benchmark.sink"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=settings.BASE_DIR,
    )
    try:
        assert process.stdout is not None  # noqa: S101  for the type checker
        yield RunningSink(int(process.stdout.readline()), process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(scratch: Scratch, url: str, log: Path, workers: int = WORKERS) -> Iterator[int]:
    """``manage.py qcluster`` with the product's settings and this number of workers for sending; its process
    id."""
    environment = scratch.environment(url, **_workers(workers), LOG_LEVEL="INFO")
    with log.open("ab") as output:
        process = subprocess.Popen(  # our own interpreter and command  # nosec B603
            [sys.executable, "manage.py", "qcluster"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, log, workers)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _workers(senders: int) -> dict[str, str]:
    """One of a cluster's workers stays free for runs."""
    return {"WORKERS": str(senders + 1)}


def _wait_until_ready(process: "subprocess.Popen[bytes]", log: Path, workers: int) -> None:
    end = time.monotonic() + START_SECONDS
    while log.read_text(errors="replace").count("ready for work") < workers + 1:
        if process.poll() is not None or time.monotonic() > end:
            raise StepFailed(f"The cluster did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
    time.sleep(1)  # its processes come to rest


def measure_deliver(scratch: Scratch, messages: int, seed: int, say: Say) -> list[Measurement]:
    url = scratch.installed()
    planned = scratch.step(url, "plan", messages=messages, batch=max(1, messages // 2000), port=9)
    rows_alone = scratch.step(url, "plan_stored", folder=str(scratch.folder))["seconds"]
    say(
        f"planned {planned['direct']:,} messages and {planned['lists']:,} batches in {planned['planning']:.2f} s; "
        f"their rows alone {rows_alone:.2f} s"
    )

    bare = {trust: _bare(scratch, url, min(messages, 10_000), trust_env=trust) for trust in (True, False)}
    for trust, found in bare.items():
        say(f"one Session loop, trust_env={trust}: {found['rate']:,.0f} events/s")
    prompt = _send(scratch, url, ["/now"], messages, say)
    slow = {
        workers: _send(scratch, url, ["/slow"], min(messages, 10_000 * workers), say, workers)
        for workers in range(1, WORKERS + 1)
    }
    # Without the share of the hanging target, so that the others get the same number in both measurements.
    spread = min(messages, 40_000)
    paths = [f"/now{place}" for place in range(TARGETS - 1)]
    # Alternating, the median of three: a single measurement varies by more than the effect. With few messages
    # the ratio says little either way.
    calm, hung = [], []
    for _ in range(TURNS if messages >= FEW else 1):
        calm.append(_send(scratch, url, paths, spread * (TARGETS - 1) // TARGETS, say)["seconds_of_others"])
        hung.append(_send(scratch, url, [*paths, "/hang"], spread, say)["seconds_of_others"])

    count = planned["direct"] + planned["lists"]
    sending = count / prompt["rate"]
    floor = bare[True]
    return [
        Measurement(
            "events a second",
            "/s",
            prompt["rate"],
            floor["rate"],
            1.25 if scratch.postgres else None,
            higher=True,
            note=f"{floor['bytes']:,.0f} bytes each; floor: requests.Session as it comes",
        ),
        Measurement(
            "the same, trust_env off",
            "/s",
            prompt["rate"],
            bare[False]["rate"],
            higher=True,
            note="floor: Session without the look into the environment",
        ),
        Measurement(
            "CPU per 1,000 events",
            "s",
            1000 * prompt["cpu"] / prompt["events"],
            1000 * floor["own_cpu"] / floor["events"],
            2.0,
            note="all processes of the cluster, not the database's",
        ),
        *(_slow(workers, found) for workers, found in slow.items()),
        Measurement(
            "one of twenty hangs",
            "s",
            median(hung),
            median(calm),
            1.05,
            note="until the others' last event",
        ),
        Measurement(
            "planning",
            "s",
            planned["planning"],
            sending,
            0.5,
            note=f"{planned['direct']:,} messages, {planned['lists']:,} batches; floor: the time to send them",
        ),
        Measurement(
            "planning, against its rows alone",
            "s",
            planned["planning"],
            rows_alone,
            6.0 if scratch.postgres else None,
            note=f"floor: {'COPY' if scratch.postgres else 'INSERT … SELECT'} of the same rows, which takes "
            f"{rows_alone / sending:.0%} of the time to send them",
        ),
        *(
            Measurement(f"database: {what}", unit, 1000 * prompt[name] / prompt["events"])
            for name, what, unit in (
                ("database_cpu", "CPU per 1,000 events", "s"),
                ("transactions", "transactions per 1,000 events", ""),
            )
            if name in prompt
        ),
        Measurement("peak memory of a worker", "MB", prompt["peak_mb"]),
        Measurement("peak memory of the run that plans", "MB", planned["peak_mb"]),
    ]


def _slow(workers: int, found: DeliverResult) -> Measurement:
    threads = workers * IN_FLIGHT
    busy = found["rate"] * found["latency"] / threads
    note = f"floor: in flight ÷ latency; threads busy {busy:.0%} of the time"
    what = f"200 ms receiver, workers: {workers}"
    return Measurement(what, "/s", found["rate"], threads / LATENCY, 0.9, higher=True, note=note)


def _bare(scratch: Scratch, url: str, count: int, *, trust_env: bool) -> DeliverResult:
    with sink() as receiver:
        found = scratch.step(
            url, "bare_loop", port=receiver.port, path="/now", count=count, trust_env=trust_env
        )
        counted = receiver.counted()
    _each_once(counted, found["events"])
    return {**found, "rate": found["events"] / found["seconds"]}


def _send(
    scratch: Scratch, url: str, paths: Sequence[str], count: int, say: Say, workers: int = WORKERS
) -> DeliverResult:
    log = scratch.folder / "cluster.log"
    log.unlink(missing_ok=True)
    hanging = [f"target {place}" for place, path in enumerate(paths) if path.startswith("/hang")]
    with sink() as receiver:
        scratch.step(url, "arm", paths=paths, count=count, port=receiver.port)
        with cluster(scratch, url, log, workers) as pid:
            # If the database is the queue, the requesting host knows only the number of workers in its own
            # settings.
            found = scratch.step(
                url, "send", _workers(workers), cluster=pid, seconds=SEND_SECONDS, but=hanging
            )
        counted = receiver.counted()
    written = log.read_text(errors="replace")
    if "locked" in written or "Traceback" in written:
        raise StepFailed(f"The cluster complained:\n{written[-4000:]}")
    others = {path: seen for path, seen in counted["paths"].items() if not path.startswith("/hang")}
    events = int(sum(seen[0] for seen in others.values()))
    first, last = min(seen[1] for seen in others.values()), max(seen[2] for seen in others.values())
    _each_once(counted, events)
    if found["states"].get("delivered", 0) < events or found["attempts"] < events:
        raise AssertionError(f"{events} events came, on record are {found['states']}")
    say(
        f"{events:,} events to {len(paths)} targets ({paths[-1]}): {events / (last - first):,.0f}/s, "
        f"{1000 * found['cpu'] / events:.2f} CPU s per 1,000, {found['states']}"
    )
    return {**found, "events": events, "rate": events / (last - first), "seconds_of_others": last - first}


def _each_once(counted: DeliverResult, events: int) -> None:
    if (counted["events"], counted["twice"]) != (events, 0):
        raise AssertionError(f"of {events} events {counted['events']} came, {counted['twice']} of them twice")
