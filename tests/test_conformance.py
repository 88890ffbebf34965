"""The conformance suite itself: its front, its table, and that each of its cases can fail."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import trioqueue
from tests.broken import BROKEN, BROKEN_REMOTES, Break, BrokenRemote
from tests.test_conformance_memory import TestMemoryBroker as OfMemory
from tests.test_conformance_sqlite import TestSqliteBroker as OfSqlite
from trioqueue import Broker, Event, Inspector, Move, RemoteBroker, State
from trioqueue._model import TABLE
from trioqueue.testing import conformance
from trioqueue.testing.conformance import (
    LOCAL_BROKER,
    REMOTE_BROKER,
    Answer,
    BrokerConformance,
    Case,
    Has,
    answers,
    cases,
)

pytestmark = pytest.mark.main  # a broker that breaks a promise, for each promise

ROOT = Path(trioqueue.__file__).parent.parent
#: What every case would notice: of these alone one could not tell that a case says anything.
BLUNT = {"counts_are_one_too_many", "the_sum_does_not_hold", "only_workers_and_submits_are_told"}
CASES = {case.name: case for case in cases()}


class Suite(OfMemory):
    """The memory broker, broken."""

    __test__ = False

    def __init__(self, apply: Break) -> None:
        self.apply = apply

    def open_broker(self, **options: Any) -> Any:
        return self._opened(super().open_broker(**options))

    @asynccontextmanager
    async def _opened(self, opening: Any) -> AsyncIterator[Any]:
        async with opening as broker:
            self.apply(broker)
            yield broker


class RemoteSuite(OfSqlite):
    """The SQLite broker, broken."""

    __test__ = False

    def __init__(self, broken: BrokenRemote, folder: Path) -> None:
        self.broken = broken
        self.folder = folder
        self.openings = 0
        self.path = folder / "jobs.db"
        self.ahead = 0.0

    def open_broker(self, **options: Any) -> Any:
        self.openings += 1
        if self.broken.apart:
            self.path = self.folder / f"{self.openings}.db"
        return self._opened(super().open_broker(**self.broken.options, **options))

    @asynccontextmanager
    async def _opened(self, opening: Any) -> AsyncIterator[Any]:
        async with opening as broker:
            self.broken.apply(broker)
            yield broker


def goes_red(case: Case, apply: Break) -> bool:
    """Whether a case fails on a memory broker that was broken like that."""
    return fails(Suite(apply), case)


def fails(suite: BrokerConformance, case: Case) -> bool:
    """Whether a case fails, as cases do."""
    try:
        suite.play(case)
    except Exception as error:
        leaves = list(_leaves(error))
        # Those would be mistakes of the broken broker, or of the case.
        assert not any(isinstance(leaf, (AttributeError, NameError, TypeError)) for leaf in leaves)
        return True
    return False


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


# --- what there is -------------------------------------------------------------------------------


def collected(suite: type) -> set[str]:
    """What pytest collects of a class."""
    return {name.removeprefix("test_") for name in dir(suite) if name.startswith("test_")}


@pytest.mark.parametrize(
    ("suite", "has", "least"), [(OfMemory, LOCAL_BROKER, 520), (OfSqlite, REMOTE_BROKER, 580)]
)
def test_every_case_that_says_something_is_collected(
    suite: type, has: frozenset[Has], least: int
) -> None:
    """And no other is there: nothing is skipped in silence."""
    names = collected(suite)
    assert names == {case.name for case in cases() if case.needs <= has}
    assert len(names) >= least


def test_what_a_broker_does_not_have_is_not_collected() -> None:
    class Small(BrokerConformance, has=[]):
        pass

    class Larger(BrokerConformance, has=[Has.HISTORY]):
        pass

    more = collected(Larger) - collected(Small)
    assert more == {case.name for case in cases() if case.needs == {Has.HISTORY}}
    assert more


def test_a_method_of_ones_own_stands_for_the_case() -> None:
    class Mine(BrokerConformance, has=LOCAL_BROKER):
        def test_publish_late(self) -> str:
            return "mine"

    class Again(Mine):
        pass

    assert Again().test_publish_late() == "mine"
    assert collected(Again) == collected(OfMemory)


def test_a_case_is_reported_as_its_own_function() -> None:
    method = vars(OfMemory)["test_publishing_nothing_changes_nothing"]
    assert inspect.unwrap(method).__module__ == "trioqueue.testing.conformance._publish"
    assert str(inspect.signature(method)) == "(self)"
    assert not inspect.iscoroutinefunction(method), "no plugin is to run it"


def test_a_broker_without_an_opener_says_so() -> None:
    class Empty(BrokerConformance, has=[]):
        pass

    with pytest.raises(NotImplementedError):
        Empty().play(CASES["publish_late"])


@pytest.mark.parametrize(
    "verb",
    sorted(
        {
            name
            for protocol in (Broker, Inspector, RemoteBroker)
            for name in vars(protocol)
            if not name.startswith("_") and inspect.isfunction(vars(protocol)[name])
        }
    ),
)
def test_every_verb_is_called_by_some_case(verb: str) -> None:
    sources = Path(conformance.__file__).parent.glob("_*.py")
    assert any(re.search(rf"\.{verb}\b", path.read_text("utf-8")) for path in sources)


def test_every_cell_of_the_table_is_a_case() -> None:
    for row in answers():
        told = [when for when in ("cancelled", "repeated", "late", "gone") if row_says(row, when)]
        assert told
        assert {f"{row.verb}_{when}" for when in told} <= set(CASES)
    assert [row.verb for row in answers()][:6] == [
        *("publish", "wait_ready", "claim", "renew", "settle", "wait_settled")
    ]


def row_says(row: Answer, when: str) -> bool:
    return bool(getattr(row, when) != "-")


def test_the_table_of_answers_in_the_documents_is_that_of_the_code() -> None:
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    head = "| verb | cancelled | repeated | late | gone |\n"
    shown = text.partition(head)[2].partition("\n\n")[0].splitlines()[1:]
    # Two ticks in a docstring are one in a page.
    assert shown == [
        f"| `{row.verb}` | " + " | ".join(row[1:]).replace("``", "`") + " |" for row in answers()
    ]


@pytest.mark.main
def test_every_transition_of_the_life_cycle_happens() -> None:
    """Each row of the table, each state before it, in some case on the memory broker."""
    seen: set[tuple[State | None, Move]] = set()

    def watch(broker: Any) -> None:
        states: dict[str, State | None] = {}

        def observe(event: Event) -> None:
            if event.name in set(Move):
                seen.add((states.get(event.task_id), Move(event.name)))
            states[event.task_id] = event.state

        broker.events.add(observe)

    suite = Suite(watch)
    for case in cases(LOCAL_BROKER):
        suite.play(case)
    assert {(before, move) for move, row in TABLE.items() for before in row} <= seen


THIRD_PARTY = """
import pytest
from trioqueue import open_memory_broker
from trioqueue.testing.conformance import BrokerConformance

class TestGood(BrokerConformance, has=[]):
    def open_broker(self, **options):
        return open_memory_broker(capacity=1_000)

class Backwards:
    def __init__(self, opening):
        self.opening = opening

    async def __aenter__(self):
        broker = await self.opening.__aenter__()
        publish = broker.publish
        async def publish_backwards(tasks):
            return (await publish(tasks[::-1]))[::-1]
        broker.publish = publish_backwards
        return broker

    async def __aexit__(self, *error):
        return await self.opening.__aexit__(*error)

class TestBad(TestGood):
    def open_broker(self, **options):
        return Backwards(super().open_broker())
"""


@pytest.mark.main
@pytest.mark.parametrize("plugins", [["no:trio"], ["pytest_trio.plugin"]])
def test_a_third_party_runs_it_in_a_few_lines(tmp_path: Path, plugins: list[str]) -> None:
    """With pytest-trio in trio_mode and without it; what fails shows what it compared."""
    (tmp_path / "test_mine.py").write_text(THIRD_PARTY)
    options = [option for name in plugins for option in ("-p", name)]
    if "no:trio" not in plugins:
        options += ["-o", "trio_mode=true"]
    # Named and not found by itself: so it does not matter whether the package is installed.
    command = [sys.executable, "-m", "pytest", "-q", *options, "-p", "trioqueue.testing.plugin"]
    environment = os.environ | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    chosen = ["-k", "of_acceptance or test_publish_late or wait_ready_wakes"]
    done = subprocess.run(
        [*command, *chosen, "test_mine.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "TestBad::test_a_claim_takes_in_the_order_of_acceptance" in done.stdout, done.stdout
    assert "assert [['1'], ['3']" in done.stdout, "the assertion was not rewritten"
    assert "failed" in done.stdout
    assert "TestGood::" not in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.main
def test_it_needs_neither_pytest_nor_anything_else() -> None:
    """To look at it; running it needs no plugin of pytest."""
    program = (
        "import sys, trio.testing; before = set(sys.modules); "
        "import trioqueue.testing.conformance; new = set(sys.modules) - before; "
        "roots = {name.split('.')[0] for name in new} - set(sys.stdlib_module_names); "
        "assert roots == {'trioqueue'}, roots"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


# --- it can fail ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, broken in BROKEN.items() for case in broken.cases]
)
def test_a_broken_promise_turns_its_case_red(name: str, case: str) -> None:
    assert goes_red(CASES[case], BROKEN[name].apply)


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name, broken in BROKEN_REMOTES.items() for case in broken.cases],
)
def test_a_broken_promise_of_a_remote_broker_turns_its_case_red(
    name: str, case: str, tmp_path: Path
) -> None:
    assert fails(RemoteSuite(BROKEN_REMOTES[name], tmp_path), CASES[case])


@pytest.mark.long
def test_every_case_goes_red_on_some_broken_broker(tmp_path: Path) -> None:
    """So none of them passes whatever the broker does."""
    left = {case.name: case for case in cases(LOCAL_BROKER)}
    for broken in BROKEN.values():
        tried = broken.cases if broken.name in BLUNT else left
        red = [name for name in tried if name in left and goes_red(left[name], broken.apply)]
        for name in red:
            del left[name]
    assert sorted(left) == []
    left = {case.name: case for case in cases(REMOTE_BROKER) if not case.needs <= LOCAL_BROKER}
    for remote in BROKEN_REMOTES.values():
        for name in list(left):
            folder = tmp_path / f"{remote.name} {len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            if fails(RemoteSuite(remote, folder), left[name]):
                del left[name]
    assert sorted(left) == []
