"""Every (system, case) that can be measured: where its code is, and how much work it gets.

Sizes are numbers of tasks (seconds for the idle cases), chosen so that a full run takes about a
second of CPU, and a quick one about a tenth of that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

# Seconds. A quick run takes about one; a smoke run must not wait for a hung one as long.
QUICK_LIMIT: Final = 20.0

Option = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Run:
    """`target` is `module:function` in benchmarks.cases, called with the size and the options."""

    target: str
    size: int
    quick: int
    options: Mapping[str, Option] = field(default_factory=dict)
    needs: str | None = None  # the distribution of a peer, which may not be installed
    limit: float = 120.0  # seconds after which a run counts as hung


def _queue_runs() -> dict[str, Run]:
    runs = {}
    for verb in ("submit_many", "submit_nowait"):
        for suffix, observed in (("", False), ("-observed", True)):
            runs[f"trioqueue/no-op-{verb}{suffix}"] = Run(
                "queue:no_op", 300_000, 20_000, {"verb": verb, "observed": observed}
            )
    runs["trioqueue/await-submit"] = Run("queue:no_op", 100_000, 10_000, {"verb": "submit"})
    runs["trioqueue/checkpoint"] = Run("queue:checkpoint", 100_000, 10_000)
    runs["trioqueue/checkpoint-limited"] = Run("queue:checkpoint", 100_000, 10_000, {"limit": 4})
    runs["trioqueue/drain-deep"] = Run("drain:deep", 1_000_000, 50_000)
    runs["trioqueue/drain-1k"] = Run("drain:repeated", 1_000_000, 50_000, {"depth": 1_000})
    runs["trioqueue/queued-traced"] = Run("memory:traced", 200_000, 20_000)
    runs["trioqueue/queued-resident"] = Run("memory:resident", 1_000_000, 100_000)
    runs["trioqueue/growth"] = Run("memory:growth", 10_000_000, 200_000, limit=600.0)
    runs["trioqueue/idle"] = Run("idle:cpu", 10, 2, {"workers": 64})
    runs["trioqueue/ticks"] = Run("idle:ticks", 5, 1, {"workers": 64})
    return runs


def _plain_runs() -> dict[str, Run]:
    return {
        "raw/no-op": Run("channels:raw", 100_000, 10_000),
        "raw/checkpoint": Run("channels:raw", 100_000, 10_000, {"pause": True}),
        "naive/no-op": Run("channels:naive", 50_000, 5_000),
        "asyncio/no-op": Run("asyncio_queue:no_op", 150_000, 10_000),
    }


def _peer_runs() -> dict[str, Run]:
    return {
        "aiometer/no-op": Run("peer_aiometer:no_op", 50_000, 5_000, needs="aiometer"),
        "taskiq/no-op": Run("peer_taskiq:no_op", 15_000, 2_000, needs="taskiq"),
        "dramatiq/no-op": Run("peer_dramatiq:no_op", 15_000, 2_000, needs="dramatiq"),
        "huey/no-op": Run("peer_huey:no_op", 30_000, 3_000, needs="huey"),
    }


def _paired_runs() -> dict[str, Run]:
    runs = {}
    for label, rate in (("2k", 2_000), ("10k", 10_000)):
        for verb, nowait in (("await", False), ("nowait", True)):
            for system, function in (("trioqueue", "queue"), ("channel", "channel")):
                runs[f"{system}/latency-{verb}-{label}"] = Run(
                    f"latency:{function}", 5 * rate, rate // 2, {"rate": rate, "nowait": nowait}
                )
    for workers in (8, 64):
        for system, function in (("trioqueue", "queue"), ("raw", "channel")):
            runs[f"{system}/turns-{workers}"] = Run(
                f"fairness:{function}", 10_000, 2_000, {"workers": workers}
            )
    return runs


RUNS: Final[Mapping[str, Run]] = MappingProxyType(
    _queue_runs() | _plain_runs() | _peer_runs() | _paired_runs()
)
