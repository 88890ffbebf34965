"""``python -m trioqueue.testing.chaos``: a chaos run by hand."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast

from ._crew import Setup
from ._redis_store import RedisStore
from ._run import run_chaos
from ._store import SqliteStore
from ._zygote import find

_STORES: Final[dict[str, Any]] = {"sqlite": SqliteStore, "redis": RedisStore}


def _add_options(parser: argparse.ArgumentParser, kind: type) -> None:
    for field in fields(kind):
        if field.name not in {"directory", "store", "wrap"}:
            default: Any = field.default
            of = cast("type[str]", type(default))
            parser.add_argument(f"--{field.name}", type=of, default=default)


def main() -> int:
    """Run, print what happened, and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m trioqueue.testing.chaos", description=__doc__)
    parser.add_argument("store", nargs="?", choices=_STORES, default="sqlite")
    for kind in (Setup, *_STORES.values()):
        _add_options(parser, kind)
    parser.add_argument("--directory", help="an empty one, which keeps all records")
    parser.add_argument("--wrap", help="MODULE:NAME of what to put round the broker")
    given = vars(parser.parse_args())
    wrap, directory = given.pop("wrap"), given.pop("directory")
    for name, kind in _STORES.items():
        options = {field.name: given.pop(field.name) for field in fields(kind)}
        if name == given["store"]:
            given["store"] = kind(**options)
    with tempfile.TemporaryDirectory(prefix="trioqueue-chaos-") as scratch:
        path = Path(directory or scratch)
        report = run_chaos(Setup(path, **given, wrap=find(wrap) if wrap else None))
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
