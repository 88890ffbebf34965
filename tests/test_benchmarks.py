"""The arithmetic and the judgement of the benchmarks; nothing is measured here."""

import ast
import json
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path

import pytest

from benchmarks import arithmetic, chart, child, cli, crew, judge, picture, record, runner, table
from benchmarks.cases import stores
from benchmarks.judge import Failure, Measured, Verdict
from benchmarks.measure import Ledger, LedgerError, Sample, Stopwatch
from benchmarks.plan import GROUPS, ROWS, Row
from benchmarks.runs import RUNS

pytestmark = pytest.mark.main  # processes that measure

CASES = Path(cli.__file__).parent / "cases"
RATIO = Row("fast / slow", "no-op", "trioqueue/no-op-submit_many", "raw/no-op", "rate", "1/s", 2, 1)


def measured(*figures: float) -> Measured:
    return Measured([{"rate": figure} for figure in figures])


def a_report(mine: Sequence[float], raw: Sequence[float], row: Row = RATIO) -> judge.Report:
    """A report on the row that compares `mine` with `raw`."""
    assert row.baseline is not None
    return judge.report(row, {row.subject: measured(*mine), row.baseline: measured(*raw)})


# --- arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "middle"), [([3.0], 3), ([3.0, 1.0, 2.0], 2), ([4.0, 1.0, 2.0, 3.0], 2.5)]
)
def test_median(values: list[float], middle: float) -> None:
    """The middle value, whatever the order."""
    assert arithmetic.median(values) == middle


def test_no_median_of_nothing() -> None:
    """Nothing measured is an error, not a zero."""
    with pytest.raises(ValueError, match="at least one"):
        arithmetic.median([])


def test_spread_is_the_range_over_the_median() -> None:
    """The range as a fraction of the median; unknown for one round."""
    assert arithmetic.spread([90, 100, 120]) == pytest.approx(0.3)
    assert arithmetic.spread([5]) is None
    assert arithmetic.spread([0, 0]) is None


def test_ratios_are_paired_by_round() -> None:
    """A slow round slows both sides, and its ratio stays what it was."""
    assert arithmetic.paired_ratios([200, 20, 200], [100, 10, 100]) == [2, 2, 2]
    assert arithmetic.paired_ratios([1], [0]) == [math.inf]
    with pytest.raises(ValueError, match="shorter"):
        arithmetic.paired_ratios([1, 2], [1])


def test_the_median_of_ratios_is_not_the_ratio_of_medians() -> None:
    """The case for pairing: one system measured twice in a noisy hour is as fast as itself."""
    report = a_report([100, 10, 100, 10, 12], [100, 10, 100, 10, 12])
    assert report.ratio == 1


def test_percentiles_are_nearest_rank() -> None:
    """A percentile is one of the values."""
    values = list(range(1, 101))
    assert arithmetic.percentile(values, 50) == 50
    assert arithmetic.percentile(values, 99) == 99
    assert arithmetic.percentile([7], 99) == 7
    with pytest.raises(ValueError, match="percent"):
        arithmetic.percentile(values, 0)


def test_attainment_is_above_one_on_the_good_side() -> None:
    """In both directions 1 is the goal and more is better."""
    assert arithmetic.attainment(3, 2, higher_is_better=True) == 1.5
    assert arithmetic.attainment(200, 400, higher_is_better=False) == 2
    assert arithmetic.attainment(0, 0, higher_is_better=False) == math.inf
    assert arithmetic.attainment(1, 0, higher_is_better=False) == 0


# --- the gate ------------------------------------------------------------------------------------


def test_the_gate_needs_five_rounds() -> None:
    """Four bad rounds are not evidence; five are."""
    assert not arithmetic.falls_under_gate([0.5] * 4, 1.2)
    assert arithmetic.falls_under_gate([0.5] * 5, 1.2)


def test_the_gate_looks_at_the_median() -> None:
    """Two bad rounds of five pass, three fail, the figure itself passes, no figure passes."""
    assert not arithmetic.falls_under_gate([0.1, 0.1, 1.3, 1.3, 1.3], 1.2)
    assert arithmetic.falls_under_gate([0.1, 0.1, 0.1, 1.3, 1.3], 1.2)
    assert not arithmetic.falls_under_gate([1.2] * 5, 1.2)
    assert not arithmetic.falls_under_gate([0.1] * 5, None)


@pytest.mark.parametrize(("second", "code"), [(0.1, 1), (0.9, 0)])
def test_the_gate_repeats_what_fails_once(
    second: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failing row is measured again, alone, and only a second failure is a failure."""
    asked: list[str] = []

    def spawn(name: str, *, quick: bool) -> Sample:
        asked.append(name)
        if name != "trioqueue/await-submit":
            rate = 9.0 if name.startswith("trioqueue/") and "-1-full" not in name else 1.0
            return {"tasks_per_cpu_s": rate, "tasks_per_wall_s": rate}
        first = asked.count(name) <= arithmetic.GATE_ROUNDS
        return {"tasks_per_cpu_s": 0.1 if first else second}

    monkeypatch.setattr(runner, "spawn", spawn)
    assert cli.main(["--gate"]) == code
    assert asked.count("trioqueue/await-submit") == 2 * arithmetic.GATE_ROUNDS
    assert asked.count("trioqueue/checkpoint") == arithmetic.GATE_ROUNDS
    output = capsys.readouterr().out
    assert "measured once more" in output
    assert ("CI needs 0.32 x" in output) == bool(code)


# --- judgement -----------------------------------------------------------------------------------


def test_a_ratio_is_judged_against_its_goal() -> None:
    """On the goal is a pass; under it a miss."""
    assert a_report([200, 210, 190], [100, 100, 100]).verdict is Verdict.PASS
    assert a_report([199], [100]).verdict is Verdict.MISS


def test_an_absolute_goal_ignores_the_baseline() -> None:
    """A turn of 3 ms misses 2 ms, however slow the baseline is."""
    row = Row("t", "fairness", "a", "b", "rate", "ms", 2, higher_is_better=False, absolute=True)
    assert a_report([3], [100], row).verdict is Verdict.MISS
    assert a_report([2], [1], row).judged == (2,)


def test_a_row_without_a_goal_is_only_shown() -> None:
    """Nothing to pass or to miss."""
    row = Row("t", "latency", "a", "b", "rate", "us", None)
    assert a_report([3], [100], row).verdict is Verdict.SHOWN


def test_a_failure_on_either_side_is_no_result() -> None:
    """A peer that is missing is shown as such, a lost task as an error; neither has figures."""
    assert RATIO.baseline is not None
    missing = Measured(failure=Failure(Verdict.MISSING, runner.INSTALL))
    report = judge.report(RATIO, {RATIO.subject: measured(1), RATIO.baseline: missing})
    assert (report.verdict, report.value, report.ratio) == (Verdict.MISSING, None, None)
    assert judge.broken([report]) == []
    lost = Measured([{"rate": 1.0}], Failure(Verdict.ERROR, "1 tasks lost"))
    report = judge.report(RATIO, {RATIO.subject: lost, RATIO.baseline: measured(1)})
    assert report.verdict is Verdict.ERROR
    assert judge.broken([report]) == [report]


def test_the_ledger_finds_what_was_lost_or_doubled() -> None:
    """Each task exactly once, or it is not a result."""
    ledger = Ledger(3)
    ledger.marks[:] = b"\1\1\1"
    ledger.verify()
    ledger.marks[:] = b"\0\2\1"
    with pytest.raises(LedgerError, match="1 tasks lost and 1 doubled of 3"):
        ledger.verify()


def test_the_stopwatch_adds_up() -> None:
    """Entered twice, it counts both."""
    watch = Stopwatch()
    with watch:
        pass
    first = watch.wall
    with watch:
        pass
    assert watch.wall > first > 0


# --- the runner ----------------------------------------------------------------------------------


def test_rounds_are_interleaved() -> None:
    """A B A B, and a run that failed is not tried again."""
    assert RATIO.baseline is not None
    asked: list[str] = []

    def spawn(name: str) -> Sample | Failure:
        asked.append(name)
        return {"rate": 1.0} if name == RATIO.subject else Failure(Verdict.ERROR, "no")

    found = runner.measure([RATIO, RATIO], 3, spawn, lambda text: None)
    assert asked == [RATIO.subject, RATIO.baseline, RATIO.subject, RATIO.subject]
    assert len(found[RATIO.subject].samples) == 3
    assert found[RATIO.baseline].failure is not None


def test_what_a_child_may_answer() -> None:
    """A sample, a missing peer, an error, or nothing that can be read."""
    assert runner.read_answer('{"sample": {"rate": 2}}') == {"rate": 2.0}
    assert runner.read_answer('{"missing": "huey"}') == Failure(Verdict.MISSING, runner.INSTALL)
    assert runner.read_answer('{"error": "lost"}') == Failure(Verdict.ERROR, "lost")
    unread = runner.read_answer("")
    assert isinstance(unread, Failure)
    assert unread.verdict is Verdict.ERROR


# --- the plan ------------------------------------------------------------------------------------


def test_every_row_has_its_runs_and_its_group() -> None:
    """Names are unique, and nothing is compared that cannot be measured, or measured in vain."""
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {row.group for row in ROWS} == {group.name for group in GROUPS}
    assert set(runner.runs_of(ROWS)) == set(RUNS)


def test_every_run_has_its_function() -> None:
    """Found in the source, so that no peer has to be installed here."""
    for run in RUNS.values():
        module, _, function = run.target.partition(":")
        tree = ast.parse((CASES / f"{module}.py").read_text(encoding="utf-8"))
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert function in [node.name for node in found], run.target


def test_a_group_with_a_gate_has_enough_rounds() -> None:
    """A group that is cut short could never fail."""
    short = {group.name for group in GROUPS if group.rounds is not None}
    assert not [row for row in ROWS if row.gate is not None and row.group in short]


def test_both_sides_of_a_row_on_a_file_are_as_durable_as_each_other() -> None:
    """Whoever syncs less is quicker, and no better: the one row that mixes them says so."""

    def durability(name: str) -> object:
        return RUNS[name].options.get("synchronous", "normal")

    rows = [row for row in ROWS if row.group.startswith("sqlite-") and row.baseline is not None]
    mixed = [row for row in rows if durability(row.subject) != durability(row.baseline or "")]
    assert [row.name for row in mixed if "(FULL)" not in row.name] == []
    assert [row.goal for row in mixed] == [None]


def test_what_waits_for_threads_and_disks_is_judged_by_wall_time_on_all_cores() -> None:
    """And all the rest by CPU time on one."""
    rows = [row for row in ROWS if row.metric.startswith("tasks_per_")]
    for row in rows:
        durable = row.group.startswith(("sqlite-", "redis-"))
        for name in runner.runs_of([row]):
            assert RUNS[name].pinned is not durable, name
        if row.goal is not None:
            assert row.metric == ("tasks_per_wall_s" if durable else "tasks_per_cpu_s"), row.name


# --- stores in files, and crews ------------------------------------------------------------------


class MemoryStore:
    """A store that keeps to its contract, but for the numbers in ``lost`` and ``doubled``."""

    def __init__(self, lost: Container[int] = (), doubled: Container[int] = ()) -> None:
        self._lost, self._doubled = lost, doubled
        self._waiting: list[int] = []

    def put(self, number: int) -> None:
        if number not in self._lost:
            self._waiting.append(number)
        if number in self._doubled:
            self._waiting.append(number)

    def fill(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.put(number)

    def complete(self, marks: bytearray) -> None:
        while self._waiting:
            marks[self._waiting.pop()] += 1

    def stored(self) -> Iterable[int]:
        return self._waiting

    def close(self) -> None:
        pass


@pytest.mark.parametrize("case", [stores.enqueue, stores.bulk, stores.claims])
@pytest.mark.parametrize(
    ("lost", "doubled", "words"),
    [((), (), None), ((1_500,), (), "1 tasks lost"), ((), (3, 7), "2 doubled")],
)
def test_a_store_that_loses_or_doubles_a_task_gives_no_figure(
    case: Callable[[stores.Open, int, str], Sample],
    lost: Container[int],
    doubled: Container[int],
    words: str | None,
) -> None:
    """What was enqueued is read back, what was claimed is marked, and both are counted."""

    def opened(place: Path, synchronous: str) -> stores.Store:
        assert place.is_dir()
        assert synchronous == "full"
        return MemoryStore(lost, doubled)

    if words is None:
        assert case(opened, 2_000, "full")["tasks_per_wall_s"] > 0
    else:
        with pytest.raises(LedgerError, match=words):
            case(opened, 2_000, "full")


def test_the_shifts_of_a_crew_add_up() -> None:
    """Each number in one shift, once."""
    crew.verify(4, [_shift(0, 2), _shift(3, 1)])
    with pytest.raises(LedgerError, match="1 tasks lost and 1 doubled of 4"):
        crew.verify(4, [_shift(0, 2), _shift(2, 1)])


def _shift(*numbers: int) -> crew.Shift:
    return crew.Shift(numbers, [0.0] * len(numbers), 0.0, 1.0, 1.0)


def test_a_peer_that_is_not_installed_is_missing_and_not_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the name of its module, which is not always that of its distribution."""
    asked: list[str] = []

    def find_spec(name: str) -> None:
        asked.append(name)

    monkeypatch.setattr(child, "find_spec", find_spec)
    assert child.answer("persist-queue/sqlite-claims-full", 1) == {"missing": "persist-queue"}
    assert child.answer("trioqueue/sqlite-deep", 1) == {"missing": "apsw"}
    assert child.answer("taskiq/redis-flow-32", 1) == {"missing": "taskiq-redis"}
    assert asked == ["persistqueue", "apsw", "taskiq_redis"]


# --- what comes out ------------------------------------------------------------------------------


REPORTS = [
    a_report([200, 220], [100, 100]),
    judge.Report(RATIO, Verdict.MISSING, runner.INSTALL),
    judge.Report(RATIO, Verdict.ERROR, "1 tasks lost & 0 doubled of 3"),
]


def test_the_table_is_aligned_and_hides_nothing() -> None:
    """One line per row, columns under their heads, failures with their reason."""
    title, heads, *lines = table.block(GROUPS[0], REPORTS, 2).rstrip().splitlines()
    assert title.endswith("(2 rounds)")
    assert len(lines) == 3
    assert lines[0].index("pass") == heads.index("result")
    assert lines[0].split()[3:8] == ["210", "100", "2.10", "x", "10%"]
    assert "not installed: pip install trioqueue[sqlite,redis,bench]" in lines[1]
    assert "not installed: not installed" not in lines[1]
    assert "ERROR: 1 tasks lost" in lines[2]
    assert table.summary(REPORTS) == "1 pass, 1 not installed, 1 ERROR"


@pytest.mark.parametrize(
    ("figure", "text"),
    [(None, ""), (0, "0"), (0.0123, "0.0123"), (344, "344"), (117_432, "117k"), (1.5e6, "1.5M")],
)
def test_numbers_have_three_digits(figure: float | None, text: str) -> None:
    """Readable, and no more digits than were measured."""
    assert table.number(figure) == text


def test_the_json_is_a_list_of_objects() -> None:
    """The promised fields in each, null where there is nothing, never an infinity."""
    infinite = a_report([1], [0])
    objects = json.loads(record.document([*REPORTS, infinite]))
    promised = {"name", "unit", "value", "baseline", "ratio", "goal", "spread", "versions"}
    assert all(promised <= set(one) for one in objects)
    assert objects[0]["value"] == 210
    assert objects[0]["ratio"] == pytest.approx(2.1)
    assert set(objects[0]["versions"]) == {"python", "trio", "trioqueue"}
    assert objects[1]["value"] is None
    assert objects[1]["verdict"] == "missing"
    assert objects[3]["ratio"] is None


def test_the_chart_is_well_formed_and_self_contained() -> None:
    """Parses as XML, has a bar for each figure, refers to nothing outside."""
    row = next(row for row in ROWS if row.name == "no-op submit_many / raw channel")
    sample = Measured([{row.metric: 3.0}])
    assert row.baseline is not None
    report = judge.report(row, {row.subject: sample, row.baseline: sample})
    text = chart.document([report])
    root = ElementTree.fromstring(text)
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 3  # two systems, one goal
    assert text.count("http") == 1
    assert "SQLite" not in text
    assert "prefers-color-scheme: dark" in text
    ElementTree.fromstring(chart.document(REPORTS[1:]))


def test_the_chart_shows_what_was_measured_on_files() -> None:
    """In panels of their own, by wall time, FULL named where it is."""
    rows = [row for row in ROWS if row.group == "sqlite-claims"]
    samples = Measured([{"tasks_per_wall_s": 2.0, "tasks_per_cpu_s": 3.0}])
    measured = dict.fromkeys(runner.runs_of(rows), samples)
    text = chart.document([judge.report(row, measured) for row in rows])
    assert "SQLite: tasks claimed and completed per second" in text
    assert ">litequeue, claims</text>" in text
    assert ">trioqueue, claims, FULL</text>" in text
    assert "Tasks per CPU second" not in text


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rounds", "0"], "above 0"),
        (["--rounds", "many"], "'many'"),
        (["--only", "no such row"], "no row matches"),
        (["--json", "/no/such/place/x.json"], "does not exist"),
        (["--svg", "/"], "is a directory"),
        (["--gate", "--rounds", "3"], "at least 5 rounds"),
        (["--unknown"], "unrecognized"),
    ],
)
def test_bad_arguments_are_one_line_and_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is measured first."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.count("\n") == 1
    assert words in errors


def test_interrupting_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends the session with the conventional code and without a traceback."""

    def spawn(name: str, *, quick: bool) -> Sample:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "spawn", spawn)
    assert cli.main(["--quick"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_lost_task_fails_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are written all the same, and say so."""

    def spawn(name: str, *, quick: bool) -> Sample | Failure:
        return Failure(Verdict.ERROR, "3 tasks lost")

    monkeypatch.setattr(runner, "spawn", spawn)
    file = tmp_path / "figures.json"
    assert cli.main(["--quick", "--only", "*aiometer", "--json", str(file)]) == 1
    assert [one["note"] for one in json.loads(file.read_text())] == ["3 tasks lost"]
    assert "3 tasks lost" in capsys.readouterr().out


def test_selection_is_by_part_or_by_pattern() -> None:
    """A word of a name, the name of a group, or a pattern for a whole name."""
    groups = {"latency", "fairness", "sqlite-waiting", "redis-flow", "redis-flow-aof"}
    assert {row.group for row in cli.select("p99", gate=False)} == groups
    assert cli.select("GROWTH", gate=False)
    assert [row.name for row in cli.select("no*huey", gate=False)] == ["no-op / huey"]
    assert {row.group for row in cli.select("sqlite", gate=False)} == {
        group.name for group in GROUPS if group.name.startswith("sqlite-")
    }
    assert all(row.gate for row in cli.select(None, gate=True))


def test_a_machine_that_is_too_busy_is_asked_again() -> None:
    """A pace that was not kept is no figure and no error: twice more, then the row says so."""
    asked: list[str] = []

    def measure_one(name: str) -> Sample | Failure:
        asked.append(name)
        busy = runner.read_answer('{"busy": "only 5 arrivals per second"}')
        return busy if name == "slow" or len(asked) < 3 else {"p99_us": 1.0}

    row = Row("one", "latency", "quick", "slow", "p99_us", "us", 1.5, None)
    measured = runner.measure([row], 1, measure_one, lambda _: None)
    assert asked == ["quick"] * 3 + ["slow"] * 3
    assert measured["quick"].samples
    failure = measured["slow"].failure
    assert failure is not None
    assert failure.verdict is Verdict.BUSY


def test_the_readme_s_picture_shows_the_published_figures() -> None:
    """`python -m benchmarks.picture` draws it anew."""
    assert picture.TARGET.read_text("utf-8") == picture.document(picture.SOURCE.read_text("utf-8"))
