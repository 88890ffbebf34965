"""Every (system, case) that can be measured: where its code is, and how much work it gets.

Sizes are numbers of tasks (seconds for the idle cases), chosen so that a full run takes about a
second of CPU, and a quick one about a tenth of that. `sqlite-MODE` is the durability of both sides:
with `full` whatever was accepted outlives a loss of power, with `normal` a crash of the process.
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
    needs: str | None = None  # a distribution that may not be installed
    limit: float = 120.0  # seconds after which a run counts as hung
    pinned: bool = True  # to one core; not where threads, processes and a disk work side by side


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


def _sqlite(
    target: str, size: int, quick: int, needs: str = "apsw", limit: float = 120.0, **options: Option
) -> Run:
    return Run(target, size, quick, options, needs, limit, pinned=False)


#: The peers that keep their tasks in an SQLite file, by module.
_STORES: Final = {"huey": "huey", "litequeue": "litequeue", "persistqueue": "persist-queue"}


def _sqlite_peer_runs() -> dict[str, Run]:
    runs = {}
    # A slow disk syncs 300 times a second, and these peers wait for it once or twice for each task.
    for mode, size, quick in (("normal", 10_000, 1_000), ("full", 1_000, 100)):
        for module, peer in _STORES.items():
            for case in ("enqueue", "claims"):
                target = f"sqlite_{module}:{case}"
                run = _sqlite(target, size, quick, peer, synchronous=mode)
                runs[f"{peer}/sqlite-{case}-{mode}"] = run
    runs["huey/sqlite-drain-normal"] = _sqlite(
        "sqlite_huey:drain", 10_000, 1_000, "huey", synchronous="normal"
    )
    runs["litequeue/sqlite-bulk-normal"] = _sqlite(
        "sqlite_litequeue:bulk", 100_000, 10_000, "litequeue", synchronous="normal"
    )
    return runs


def _sqlite_runs() -> dict[str, Run]:
    runs = {}
    sizes = {1: 10_000, 32: 50_000, 256: 100_000}
    for mode, part, quick in (("normal", 1, 10), ("full", 10, 50)):
        for submitters, size in sizes.items():
            runs[f"trioqueue/sqlite-enqueue-{submitters}-{mode}"] = _sqlite(
                "sqlite_queue:enqueue",
                size // part,
                size // quick,
                submitters=submitters,
                synchronous=mode,
            )
        runs[f"trioqueue/sqlite-claims-{mode}"] = _sqlite(
            "sqlite_broker:claims", 50_000, 5_000, synchronous=mode
        )
        for processes in (1, 2):
            runs[f"trioqueue/sqlite-drain-{processes}-{mode}"] = _sqlite(
                "sqlite_crew:drain", 30_000, 3_000, processes=processes, synchronous=mode
            )
    runs["trioqueue/sqlite-drain-few-normal"] = _sqlite(
        "sqlite_crew:drain", 30_000, 3_000, processes=1, synchronous="normal", workers=10
    )
    runs["trioqueue/sqlite-bulk-normal"] = _sqlite(
        "sqlite_queue:bulk", 100_000, 10_000, synchronous="normal"
    )
    runs["trioqueue/sqlite-deep"] = _sqlite("sqlite_broker:deep", 1_000_000, 10_000, limit=300.0)
    runs["trioqueue/sqlite-latency"] = _sqlite("sqlite_crew:latency", 300, 30)
    runs["trioqueue/sqlite-idle"] = _sqlite("sqlite_queue:idle", 10, 2)
    return runs


@dataclass(frozen=True, slots=True)
class RedisSystem:
    """One side of the Redis cases. `size` takes it a second or two."""

    target: str  # `module:attribute` of benchmarks.cases, a `hand.System`
    needs: str
    size: int
    quick: int


REDIS_SYSTEMS: Final[Mapping[str, RedisSystem]] = MappingProxyType(
    {
        "trioqueue": RedisSystem("redis_queue:ALL", "coredis", 30_000, 4_000),
        "streaq-trio": RedisSystem("redis_streaq:TRIO", "streaq", 2_000, 250),
        "streaq-asyncio": RedisSystem("redis_streaq:ASYNCIO", "streaq", 2_000, 250),
        "arq": RedisSystem("redis_arq:ALL", "arq", 2_000, 300),
        "saq": RedisSystem("redis_saq:ALL", "saq", 2_000, 300),
        "taskiq": RedisSystem("redis_taskiq:ALL", "taskiq-redis", 3_000, 400),
        "dramatiq": RedisSystem("redis_dramatiq:BARE", "dramatiq", 8_000, 1_500),
        "dramatiq-results": RedisSystem("redis_dramatiq:RESULTS", "dramatiq", 5_000, 800),
        "ardiq": RedisSystem("redis_ardiq:ALL", "ardiq", 20_000, 2_000),
    }
)
#: A case's function and its options.
_REDIS_CASES: Final[Mapping[str, tuple[str, dict[str, Option]]]] = {
    "drain-32": ("redis_work:drain", {"concurrency": 32}),
    "drain-100": ("redis_work:drain", {"concurrency": 100}),
    "drain-32-aof": ("redis_work:drain", {"concurrency": 32, "aof": True}),
    "flow-32": ("redis_work:flow", {"concurrency": 32}),
    "flow-32-aof": ("redis_work:flow", {"concurrency": 32, "aof": True}),
}


#: Tasks of a quick run, but for the case that CI judges.
_REDIS_QUICK: Final = 250


def redis_case(system: str, case: str) -> str:
    """The name of a run."""
    return f"{system}/redis-{case}"


def _redis_runs() -> dict[str, Run]:
    runs = {}
    for name, system in REDIS_SYSTEMS.items():
        for case, (target, options) in _REDIS_CASES.items():
            if name == "dramatiq-results" and case != "drain-32":
                continue  # dramatiq is quicker without, and so the harder one to beat
            runs[redis_case(name, case)] = Run(
                target,
                system.size,
                system.quick if case == "drain-32" else _REDIS_QUICK,
                {"system": system.target, **options},
                system.needs,
                pinned=False,
            )
    return runs


RUNS: Final[Mapping[str, Run]] = MappingProxyType(
    _queue_runs()
    | _plain_runs()
    | _peer_runs()
    | _paired_runs()
    | _sqlite_peer_runs()
    | _sqlite_runs()
    | _redis_runs()
)
