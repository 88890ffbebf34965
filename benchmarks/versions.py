"""Which versions were measured."""

import platform
from importlib import metadata

from benchmarks.plan import Row
from benchmarks.runs import RUNS

PEERS = ("aiometer", "dramatiq", "huey", "taskiq")


def version(distribution: str) -> str:
    """The installed version; `checkout` for a trioqueue that was never installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "checkout" if distribution == "trioqueue" else "not installed"


def everything() -> dict[str, str]:
    """Python, Trio, trioqueue and all peers."""
    names = ("trio", "trioqueue", *PEERS)
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def of_row(row: Row) -> dict[str, str]:
    """The versions that matter for one row."""
    found = everything()
    names = (row.subject, row.baseline) if row.baseline else (row.subject,)
    peers = {needs for name in names if (needs := RUNS[name].needs)}
    return {name: found[name] for name in ("python", "trio", "trioqueue", *sorted(peers))}
