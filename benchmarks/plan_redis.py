"""The Redis rows: one worker process, a producer and a server on the same machine.

All sides keep results, but for `dramatiq`, which does not as it comes; `dramatiq-results` does.
"""

from collections.abc import Iterator
from typing import Final

from benchmarks.row import WALL_RATE, Group, Row
from benchmarks.runs import REDIS_SYSTEMS, RUNS, redis_case

GROUPS: Final = (
    Group("redis-32", "Redis: enqueue, then drain by one worker process, 32 at once, AOF off"),
    Group("redis-100", "Redis: drain by one worker process, 100 at once, AOF off"),
    Group("redis-aof", "Redis: the same with AOF (everysec), 32 at once"),
    Group("redis-flow", "Redis: producer and worker process at the same time, AOF off"),
    Group("redis-flow-aof", "Redis: producer and worker at the same time, AOF (everysec)"),
)

#: Of a drain, against the peer of that name: the goal, and what CI refuses to fall under. ardiq
#: needs a younger Python than the oldest that is promised, so the gate is dramatiq's.
_GOALS: Final = {"streaq-trio": (10.0, None), "dramatiq": (2.0, 1.2), "ardiq": (2.0, None)}

#: Metric, unit, and what it is called.
_COSTS: Final = (
    ("cpu_us", "us/task", "CPU of worker and server, drain"),
    ("worker_us", "us/task", "worker CPU, drain"),
    ("server_us", "us/task", "server CPU, drain"),
    ("bulk_server_us", "us/task", "server CPU, bulk enqueue"),
    ("commands", "1/task", "server commands, drain"),
)
_RATES: Final = (("bulk_per_s", "bulk enqueue"), ("single_per_s", "single enqueue"))
_LATENCIES: Final = ("p50_ms", "p99_ms")


def _peers(case: str) -> list[str]:
    return [one for one in REDIS_SYSTEMS if one != "trioqueue" and redis_case(one, case) in RUNS]


def _against(
    peer: str,
    group: str,
    case: str,
    metric: str,
    unit: str,
    what: str,
    goal: float | None = None,
    gate: float | None = None,
    higher_is_better: bool = True,
) -> Row:
    mine, other = redis_case("trioqueue", case), redis_case(peer, case)
    name = f"Redis {what} / {peer}"
    return Row(name, group, mine, other, metric, unit, goal, gate, higher_is_better)


def _alone(name: str, metric: str, unit: str, goal: float, higher_is_better: bool) -> Row:
    subject = redis_case("trioqueue", "drain-32")
    return Row(
        f"Redis {name}",
        "redis-32",
        subject,
        None,
        metric,
        unit,
        goal,
        higher_is_better=higher_is_better,
        absolute=True,
    )


def _main_rows() -> Iterator[Row]:
    group, case = "redis-32", "drain-32"
    for peer in _peers(case):
        goal, gate = _GOALS.get(peer, (None, None))
        yield _against(peer, group, case, WALL_RATE, "tasks/s", "drain 32", goal, gate)
    yield _alone("bulk enqueue", "bulk_per_s", "1/s", 30_000, higher_is_better=True)
    yield _alone("server CPU, whole life", "whole_server_us", "us/task", 15, higher_is_better=False)
    for metric, what in _RATES:
        for peer in _peers(case):
            yield _against(peer, group, case, metric, "tasks/s", what)
    for metric, unit, what in _COSTS:
        for peer in _peers(case):
            yield _against(peer, group, case, metric, unit, what, higher_is_better=False)


def _more_drain_rows() -> Iterator[Row]:
    for peer in _peers("drain-100"):
        yield _against(peer, "redis-100", "drain-100", WALL_RATE, "tasks/s", "drain 100")
    for metric, what in ((WALL_RATE, "drain 32"), ("bulk_per_s", "bulk enqueue")):
        for peer in _peers("drain-32-aof"):
            what_aof = f"AOF {what}"
            yield _against(peer, "redis-aof", "drain-32-aof", metric, "tasks/s", what_aof)


def _flow_rows() -> Iterator[Row]:
    for group, case, prefix in (
        ("redis-flow", "flow-32", ""),
        ("redis-flow-aof", "flow-32-aof", "AOF "),
    ):
        for peer in _peers(case):
            what = f"{prefix}enqueue and drain at once"
            yield _against(peer, group, case, WALL_RATE, "tasks/s", what)
        for metric in _LATENCIES:
            for peer in _peers(case):
                what = f"{prefix}latency {metric[:3]}"
                yield _against(peer, group, case, metric, "ms", what, higher_is_better=False)


def rows() -> Iterator[Row]:
    """All of them."""
    yield from _main_rows()
    yield from _more_drain_rows()
    yield from _flow_rows()
