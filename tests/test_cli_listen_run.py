"""``run --listen`` as real processes: a child that is killed, a stop that is watched."""

import signal
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .command import PATIENCE
from .workers import Site, Workers, kill

pytestmark = pytest.mark.network

NOTE = {"queue": "default", "type": "note"}


class Asked:
    """The address at which workers listen."""

    def __init__(self, workers: Workers) -> None:
        self.url = workers.until_logged(r"listening at (http://[\d.]+:\d+): /metrics")[1]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def value(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        )

    def until(self, wanted: Any, ask: Any) -> None:
        """Ask until the answer is what is wanted."""
        end = time.monotonic() + PATIENCE
        while (answer := ask()) != wanted:
            assert time.monotonic() < end, answer
            time.sleep(0.05)

    def ready(self) -> int:
        return self.get("/health/ready")[0]

    def succeeded(self) -> float:
        return self.value("trioqueue_tasks_succeeded_total", **NOTE)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_stop_can_be_watched(tmp_path: Path, processes: str):
    """Ready while it works, not ready in its grace, which the metrics tell of; then it ends."""
    site = Site(tmp_path)
    site.publish("slow", "--json", "[2]")
    with site.workers("--listen", ":0", "--processes", processes) as workers:
        asked = Asked(workers)
        asked.until(200, asked.ready)
        workers.until_told("slow began")
        workers.send(signal.SIGTERM)
        asked.until(503, asked.ready)
        assert "stopping" in asked.get("/health/ready")[1]
        assert asked.get("/health/live")[0] == 200
        lane = {"queue": "default", "type": "slow"}
        assert asked.value("trioqueue_open_tasks", state="running", **lane) == 1
        assert workers.end() == 0


def test_what_a_killed_process_counted_stays(tmp_path: Path):
    """Exactly; its successor adds to it; what is ready is what is there."""
    site = Site(tmp_path)
    site.publish("note", "--json", "[7]", "--count", "300")
    with site.workers("--listen", ":0", "--processes", "2") as workers:
        asked = Asked(workers)
        asked.until(300, asked.succeeded)
        asked.until(200, asked.ready)
        kill(int(workers.until_logged(r"started: pid (\d+)")[1]))
        asked.until(503, asked.ready)
        assert asked.succeeded() == 300
        asked.until(200, asked.ready)
        site.publish("note", "--json", "[8]", "--count", "50")
        asked.until(350, asked.succeeded)
        moves = partial(asked.value, "trioqueue_broker_moves_total", move="succeeded")
        asked.until(350, moves)  # asked for once a second
        workers.send(signal.SIGTERM)
        assert workers.end() == 0
