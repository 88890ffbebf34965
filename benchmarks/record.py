"""The JSON file: a list of objects, one per row, for other programs to read."""

import json
import math
from collections.abc import Sequence

from benchmarks.judge import Report
from benchmarks.versions import of_row


def _finite(figure: float | None) -> float | None:
    """JSON has no infinity; a ratio to zero says nothing anyway."""
    return figure if figure is not None and math.isfinite(figure) else None


def record(report: Report) -> dict[str, object]:
    """One row. `spread` is a fraction; `goal` is for the ratio unless `goal_is_absolute`."""
    row = report.row
    return {
        "name": row.name,
        "group": row.group,
        "unit": row.unit,
        "value": _finite(report.value),
        "baseline": _finite(report.baseline),
        "baseline_name": row.baseline,
        "ratio": _finite(report.ratio),
        "goal": row.goal,
        "goal_is_absolute": row.absolute,
        "higher_is_better": row.higher_is_better,
        "gate": row.gate,
        "spread": _finite(report.spread),
        "rounds": len(report.values),
        "verdict": report.verdict.name.lower(),
        "note": report.note,
        "versions": of_row(row),
    }


def document(reports: Sequence[Report]) -> str:
    """The text of the file."""
    return json.dumps([record(report) for report in reports], indent=1) + "\n"
