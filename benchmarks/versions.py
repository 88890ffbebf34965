"""Which versions were measured."""

import platform
import sqlite3
from importlib import metadata

from benchmarks import server
from benchmarks.plan import Row
from benchmarks.runs import RUNS

PEERS = (
    "aiometer",
    "ardiq",
    "arq",
    "dramatiq",
    "huey",
    "litequeue",
    "persist-queue",
    "saq",
    "streaq",
    "taskiq",
    "taskiq-redis",
)
#: The client libraries of the Redis cases.
CLIENTS = ("coredis", "redis")


def version(distribution: str) -> str:
    """The installed version; `checkout` for a trioqueue that was never installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "checkout" if distribution == "trioqueue" else "not installed"


def everything() -> dict[str, str]:
    """Python, SQLite, the Redis server, Trio, trioqueue with what it uses, and all peers."""
    names = ("trio", "trioqueue", "apsw", *CLIENTS, *PEERS)
    own = {
        "python": platform.python_version(),
        "sqlite3": sqlite3.sqlite_version,
        "server": server.version(),
    }
    return own | {name: version(name) for name in names}


def of_row(row: Row) -> dict[str, str]:
    """The versions that matter for one row."""
    found = everything()
    names = (row.subject, row.baseline) if row.baseline else (row.subject,)
    peers = {needs for name in names if (needs := RUNS[name].needs)}
    if row.group.startswith("redis-"):
        peers |= {"server", *CLIENTS}
    return {name: found[name] for name in ("python", "trio", "trioqueue", *sorted(peers))}
