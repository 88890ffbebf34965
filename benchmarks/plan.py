"""What is compared with what, and the goal of each comparison.

Goals are ratios to the named baseline of the same session unless a row says `absolute`; `gate` is
the figure under which CI refuses a change. Groups are measured one after the other, and the runs
of a group are interleaved, so that both sides of a ratio see the same state of the machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

RATE = "tasks_per_cpu_s"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    group: str
    subject: str  # a name of `runs.RUNS`
    baseline: str | None  # the same; None: nothing to compare with
    metric: str  # key of the sample
    unit: str
    goal: float | None  # None: shown, not judged
    gate: float | None = None
    higher_is_better: bool = True
    absolute: bool = False  # the goal is for the value itself, not for the ratio


@dataclass(frozen=True, slots=True)
class Group:
    """Rows whose runs are interleaved with each other."""

    name: str
    title: str
    rounds: int | None = None  # at most so many: a long run that hardly varies


GROUPS: Final = (
    Group("no-op", "no-op handler, all semantics on"),
    Group("checkpoint", "handler with one checkpoint"),
    Group("submit", "await submit(), a full checkpoint each"),
    Group("peers", "in-process peers, no-op handler"),
    Group("latency", "latency, submit to start"),
    Group("fairness", "another Trio task's turn, pool saturated, handlers busy 0.2 ms"),
    Group("memory", "memory of queued tasks"),
    Group("drain", "drain rate"),
    Group("growth", "memory over many tasks", rounds=1),
    Group("idle", "64 parked workers", rounds=3),
)


def _throughput(
    name: str,
    group: str,
    subject: str,
    baseline: str,
    goal: float,
    gate: float | None = None,
) -> Row:
    return Row(name, group, subject, baseline, RATE, "tasks/CPU s", goal, gate)


def _limit(
    name: str, group: str, subject: str, metric: str, unit: str, goal: float, baseline: str | None
) -> Row:
    return Row(
        name, group, subject, baseline, metric, unit, goal, higher_is_better=False, absolute=True
    )


#: What CI refuses to fall under where the first aim (1.1, 1.1, 1.1, 0.55) is not held with a margin
#: for noise: a tenth under the medians measured. To be raised with the figures, never lowered.
_HELD: Final = {"observed": 1.0, "checkpoint": 1.0, "limited": 0.95, "await submit": 0.32}


def _no_op_rows() -> Iterator[Row]:
    for verb in ("submit_many", "submit_nowait"):
        mine = f"trioqueue/no-op-{verb}"
        yield _throughput(f"no-op {verb} / raw channel", "no-op", mine, "raw/no-op", 2.0, 1.2)
        yield _throughput(f"no-op {verb} / naive", "no-op", mine, "naive/no-op", 4.0, 2.5)
        yield _throughput(f"no-op {verb} / asyncio", "no-op", mine, "asyncio/no-op", 1.0)
        name = f"no-op {verb}, one observer / raw channel"
        yield _throughput(name, "no-op", f"{mine}-observed", "raw/no-op", 1.8, _HELD["observed"])


def _pool_rows() -> Iterator[Row]:
    raw = "raw/checkpoint"
    free, limited = "trioqueue/checkpoint", "trioqueue/checkpoint-limited"
    group = "checkpoint"
    yield _throughput("checkpoint / raw channel", group, free, raw, 1.5, _HELD["checkpoint"])
    name = "checkpoint, limit 4 of 8 / raw channel"
    yield _throughput(name, group, limited, raw, 1.3, _HELD["limited"])
    mine = "trioqueue/await-submit"
    gate = _HELD["await submit"]
    yield _throughput("await submit / raw channel", "submit", mine, "raw/no-op", 0.7, gate)


def _peer_rows() -> Iterator[Row]:
    for peer, goal in (("taskiq", 10.0), ("dramatiq", 10.0), ("huey", 5.0), ("aiometer", 4.0)):
        mine = "trioqueue/no-op-submit_many"
        yield _throughput(f"no-op / {peer}", "peers", mine, f"{peer}/no-op", goal)


def _latency_rows() -> Iterator[Row]:
    for rate in ("2k", "10k"):
        for verb in ("await", "nowait"):
            mine, plain = f"trioqueue/latency-{verb}-{rate}", f"channel/latency-{verb}-{rate}"
            for metric, goal in (("p50_us", None), ("p99_us", 1.5)):
                name = f"latency {metric[:3]}, {verb}, {rate}/s / channel + deadline"
                yield Row(name, "latency", mine, plain, metric, "us", goal, higher_is_better=False)


def _limit_rows() -> Iterator[Row]:
    for workers in (8, 64):
        name, case = f"turn p99, {workers} workers", f"turns-{workers}"
        yield _limit(name, "fairness", f"trioqueue/{case}", "p99_ms", "ms", 2.0, f"raw/{case}")
    for how in ("traced", "resident"):
        name, case = f"bytes per queued task, {how}", f"trioqueue/queued-{how}"
        yield _limit(name, "memory", case, "bytes_per_task", "B", 400, None)
    # "No growth" with room for what an allocator keeps: 9M tasks that leak one byte each are 9 MB.
    yield _limit("growth after warm-up", "growth", "trioqueue/growth", "grown_mb", "MB", 2, None)
    yield _limit("idle CPU", "idle", "trioqueue/idle", "cpu_percent", "%", 0.05, None)
    yield _limit("idle wake-ups", "idle", "trioqueue/ticks", "wakes_per_s", "1/s", 0, None)


def _rows() -> Iterator[Row]:
    yield from _no_op_rows()
    yield from _pool_rows()
    yield from _peer_rows()
    yield from _latency_rows()
    yield _throughput(
        "drain, deep queue / 1k queued", "drain", "trioqueue/drain-deep", "trioqueue/drain-1k", 0.9
    )
    yield from _limit_rows()


def _in_group_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    order = [group.name for group in GROUPS]
    return tuple(sorted(rows, key=lambda row: order.index(row.group)))


ROWS: Final = _in_group_order(list(_rows()))
