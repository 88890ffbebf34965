"""What is compared with what, and the goal of each comparison.

Goals are ratios to the named baseline of the same session unless a row says `absolute`; `gate` is
the figure under which CI refuses a change. Groups are measured one after the other, and the runs
of a group are interleaved, so that both sides of a ratio see the same state of the machine.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks import plan_redis
from benchmarks.row import RATE as RATE
from benchmarks.row import WALL_RATE as WALL_RATE
from benchmarks.row import Group as Group
from benchmarks.row import Row as Row

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
    Group("sqlite-enqueue", "SQLite: await submit() by concurrent submitters"),
    Group("sqlite-full", "SQLite: await submit(), synchronous FULL"),
    Group("sqlite-claims", "SQLite: claim + complete, up to 1,000 tasks waiting"),
    Group("sqlite-drain", "SQLite: the whole queue, no-op handler, 64 workers a process"),
    Group("sqlite-deep", "SQLite: claim + complete, many tasks waiting", rounds=3),
    Group("sqlite-waiting", "SQLite: a process that waits for another's tasks", rounds=3),
    *plan_redis.GROUPS,
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


#: What CI refuses to fall under where the first aim (1.2, 1.1, 1.1, 1.1, 0.55) is not held with a
#: margin for noise: a tenth under the medians of the slower of two machines. The ratio of the very
#: same code is 1.40 for a no-op on one of them and 1.24 on the other.
_HELD: Final = {
    "no-op": 1.1,
    "observed": 0.88,
    "checkpoint": 0.9,
    "limited": 0.88,
    "await submit": 0.32,
}


def _no_op_rows() -> Iterator[Row]:
    for verb in ("submit_many", "submit_nowait"):
        mine = f"trioqueue/no-op-{verb}"
        yield _throughput(
            f"no-op {verb} / raw channel", "no-op", mine, "raw/no-op", 2.0, _HELD["no-op"]
        )
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


def _sqlite(
    name: str,
    group: str,
    case: str,
    baseline: str,
    goal: float | None = None,
    gate: float | None = None,
    cpu: bool = False,
) -> Row:
    """Tasks a second of wall time: threads, processes and a disk are waited for."""
    metric, unit = (RATE, "tasks/CPU s") if cpu else (WALL_RATE, "tasks/s")
    subject = f"trioqueue/sqlite-{case}"
    return Row(f"SQLite {name}", f"sqlite-{group}", subject, baseline, metric, unit, goal, gate)


#: What CI refuses to fall under: less than half of what a busy machine with two cores measured.
_FILE_HELD: Final = {"FULL": 2.5, "claims": 2.0}


def _sqlite_enqueue_rows() -> Iterator[Row]:
    """Both sides of a row are as durable as each other, unless it says so."""
    for peer, goal in (("litequeue", 2.0), ("huey", 20.0), ("persist-queue", None)):
        case, plain = "enqueue-32-normal", f"{peer}/sqlite-enqueue-normal"
        yield _sqlite(f"enqueue by 32 / {peer}", "enqueue", case, plain, goal)
    plain = "litequeue/sqlite-enqueue-normal"
    case = "enqueue-32-normal"
    yield _sqlite("enqueue by 32, CPU / litequeue", "enqueue", case, plain, cpu=True)
    for count in (1, 256):
        case = f"enqueue-{count}-normal"
        yield _sqlite(f"enqueue by {count} / litequeue", "enqueue", case, plain)
    plain = "litequeue/sqlite-bulk-normal"
    yield _sqlite("submit_many of 256 / litequeue", "enqueue", "bulk-normal", plain)
    for count, goal, gate in ((32, 5.0, _FILE_HELD["FULL"]), (256, None, None)):
        case, plain = f"enqueue-{count}-full", "trioqueue/sqlite-enqueue-1-full"
        yield _sqlite(f"FULL enqueue by {count} / by 1", "full", case, plain, goal, gate)
    for peer in ("litequeue", "huey", "persist-queue"):
        case, plain = "enqueue-32-full", f"{peer}/sqlite-enqueue-full"
        yield _sqlite(f"FULL enqueue by 32 / {peer}", "full", case, plain)
    # What the goal of 20 was set against: huey as it comes syncs at each commit.
    name, case = "enqueue by 32 / huey as it comes (FULL)", "enqueue-32-normal"
    yield _sqlite(name, "full", case, "huey/sqlite-enqueue-full")


def _sqlite_claim_rows() -> Iterator[Row]:
    goals = {
        "litequeue": (5.0, _FILE_HELD["claims"]),
        "huey": (10.0, None),
        "persist-queue": (None, None),
    }
    for peer, (goal, gate) in goals.items():
        plain = f"{peer}/sqlite-claims-normal"
        yield _sqlite(f"claim+complete / {peer}", "claims", "claims-normal", plain, goal, gate)
    plain = "litequeue/sqlite-claims-normal"
    name = "claim+complete, CPU / litequeue"
    yield _sqlite(name, "claims", "claims-normal", plain, cpu=True)
    for peer in ("litequeue", "huey", "persist-queue"):
        plain = f"{peer}/sqlite-claims-full"
        yield _sqlite(f"FULL claim+complete / {peer}", "claims", "claims-full", plain)
    for peer, case in (("huey", "drain"), ("litequeue", "claims")):
        plain = f"{peer}/sqlite-{case}-normal"
        yield _sqlite(f"drain / {peer}, {case}", "drain", "drain-1-normal", plain)
    for mode in ("normal", "full"):
        case, plain = f"drain-2-{mode}", f"trioqueue/sqlite-drain-1-{mode}"
        name = "drain, 2 processes / 1" if mode == "normal" else "FULL drain, 2 processes / 1"
        yield _sqlite(name, "drain", case, plain)
    case, plain = "drain-few-normal", "trioqueue/sqlite-drain-1-normal"
    yield _sqlite("drain, 10 workers / 64", "drain", case, plain)
    plain = "trioqueue/sqlite-claims-normal"
    yield _sqlite("claim+complete, deep / up to 1k waiting", "deep", "deep", plain, 0.7)


def _sqlite_waiting_rows() -> Iterator[Row]:
    for metric in ("p50_ms", "p99_ms"):
        name = f"SQLite latency {metric[:3]}, process to process, FULL"
        case = "trioqueue/sqlite-latency"
        yield Row(name, "sqlite-waiting", case, None, metric, "ms", None, higher_is_better=False)
    case = "trioqueue/sqlite-idle"
    yield Row(
        "SQLite idle CPU",
        "sqlite-waiting",
        case,
        None,
        "cpu_percent",
        "%",
        None,
        higher_is_better=False,
    )


def _rows() -> Iterator[Row]:
    yield from _no_op_rows()
    yield from _pool_rows()
    yield from _peer_rows()
    yield from _latency_rows()
    yield _throughput(
        "drain, deep queue / 1k queued", "drain", "trioqueue/drain-deep", "trioqueue/drain-1k", 0.9
    )
    yield from _limit_rows()
    yield from _sqlite_enqueue_rows()
    yield from _sqlite_claim_rows()
    yield from _sqlite_waiting_rows()
    yield from plan_redis.rows()


def _in_group_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    order = [group.name for group in GROUPS]
    return tuple(sorted(rows, key=lambda row: order.index(row.group)))


ROWS: Final = _in_group_order(list(_rows()))
