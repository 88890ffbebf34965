"""``python -m trioqueue.testing.chaos``: a chaos run by hand."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from ._crew import Setup
from ._run import run_chaos
from ._zygote import find


def main() -> int:
    """Run, print what happened, and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m trioqueue.testing.chaos", description=__doc__)
    for field in fields(Setup):
        if field.name not in {"directory", "wrap"}:
            default: Any = field.default
            kind = cast("type[str]", type(default))
            parser.add_argument(f"--{field.name}", type=kind, default=default)
    parser.add_argument("--directory", help="an empty one, which keeps all records")
    parser.add_argument("--wrap", help="MODULE:NAME of what to put round the broker")
    given = vars(parser.parse_args())
    wrap, directory = given.pop("wrap"), given.pop("directory")
    with tempfile.TemporaryDirectory(prefix="trioqueue-chaos-") as scratch:
        path = Path(directory or scratch)
        report = run_chaos(Setup(path, **given, wrap=find(wrap) if wrap else None))
    print(report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
