"""One measurement in a process of its own: `python -m benchmarks.child NAME SIZE`.

The last line of standard output is the answer, a JSON object: {"sample": {...}}, {"missing":
"taskiq"} or {"error": "..."}. Everything else that a peer prints stays above it.
"""

import importlib
import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, cast

from benchmarks.measure import LedgerError, Sample, TooBusy, cores, pin
from benchmarks.runs import RUNS, Run
from benchmarks.server import NoServer

#: Where the module's name is not the distribution's with underscores.
MODULES: Final = {"persist-queue": "persistqueue"}


def load(run: Run) -> Callable[..., Sample]:
    """The function that a run names; imports its module, and so its peer."""
    module, _, function = run.target.partition(":")
    return cast(
        "Callable[..., Sample]",
        getattr(importlib.import_module(f"benchmarks.cases.{module}"), function),
    )


def _installed(distribution: str) -> bool:
    module = MODULES.get(distribution, distribution.replace("-", "_"))
    return find_spec(module) is not None


def answer(name: str, size: int) -> dict[str, object]:
    """Measure, and say what came of it."""
    run = RUNS[name]
    if run.needs is not None and not _installed(run.needs):
        return {"missing": run.needs}
    try:
        function = load(run)
    except ModuleNotFoundError as error:
        return {"error": f"cannot import {error.name}"}
    try:
        return {"sample": function(size, **run.options)}
    except (LedgerError, NoServer) as error:
        return {"error": str(error)}
    except TooBusy as error:
        return {"busy": str(error)}


def main(name: str, size: int) -> int:
    """Pin, measure, print; 130 after Ctrl-C, without a traceback over the parent's output."""
    if (allowed := cores()) and RUNS[name].pinned:
        pin(allowed[-1])  # the first core serves most interrupts
    try:
        reply = answer(name, size)
    except KeyboardInterrupt:
        return 130
    print(json.dumps(reply), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
