"""The pytest plugin: its fixtures check the laws, and it is free for those who do not use it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trioqueue
from trioqueue import TaskSet
from trioqueue.testing import LawBroken
from trioqueue.testing.plugin import open_test_queue as queue_fixture
from trioqueue.testing.plugin import trioqueue_ledger as ledger_fixture

tasks = TaskSet()

USE = """
import trioqueue
from trioqueue.testing import ledger_of
from trioqueue.testing._history import Told

tasks = trioqueue.TaskSet()

@tasks.task
async def double(n):
    return 2 * n

async def test_a_queue(open_test_queue, autojump_clock):
    async with open_test_queue(tasks, workers=2) as first, open_test_queue(tasks) as second:
        assert await (await first.submit(double, 4)).result() == 8
        assert ledger_of(first) is not ledger_of(second)

async def test_a_ledger(trioqueue_ledger):
    assert trioqueue_ledger.history.entries == []

async def test_a_broken_law(open_test_queue):
    async with open_test_queue(tasks) as queue:
        ledger_of(queue).note(Told(0.0, ("never came into being",)))

async def test_a_broken_law_of_the_ledger(trioqueue_ledger):
    trioqueue_ledger.note(Told(0.0, ("never came into being",)))
"""


@pytest.mark.main
def test_the_fixtures_work_with_pytest_trio(tmp_path):
    (tmp_path / "test_use.py").write_text(USE)
    # Named and not found by themselves: so it does not matter whether the package is installed.
    plugins = ["-p", "pytest_trio.plugin", "-p", "trioqueue.testing.plugin"]
    command = [sys.executable, "-m", "pytest", "-o", "trio_mode=true", *plugins, "test_use.py"]
    environment = os.environ | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(Path(trioqueue.__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    # A queue's laws are looked at when it is left and when the test is over.
    assert "1 failed, 3 passed, 2 errors" in done.stdout, done.stdout
    assert done.stdout.count("nothing lost: a caller was told") >= 2


def test_the_ledger_fixture_checks_the_laws_at_the_end():
    from trioqueue.testing._history import Told

    steps = ledger_fixture.__wrapped__()
    ledger = next(steps)
    ledger.note(Told(0.0, ("ghost",)))
    with pytest.raises(LawBroken, match="nothing lost"):
        next(steps, None)


def test_the_queue_fixture_checks_the_laws_at_the_end():
    from trioqueue.testing import Ledger
    from trioqueue.testing._history import Told

    steps = queue_fixture.__wrapped__()
    ledger = Ledger()
    next(steps)(tasks, ledger=ledger)
    ledger.note(Told(0.0, ("ghost",)))
    with pytest.raises(LawBroken, match="nothing lost"):
        next(steps, None)


def test_check_false_leaves_the_checking_to_the_test():
    from trioqueue.testing import Ledger
    from trioqueue.testing._history import Told

    steps = queue_fixture.__wrapped__()
    ledger = Ledger()
    next(steps)(tasks, ledger=ledger, check=False)
    ledger.note(Told(0.0, ("ghost",)))
    assert next(steps, None) is None


@pytest.mark.parametrize("module", ["hypothesis", "trio.testing", "trioqueue.testing._ledger"])
def test_the_plugin_imports_nothing_that_its_user_did_not_ask_for(module):
    program = f"import sys, trioqueue.testing.plugin; assert {module!r} not in sys.modules"
    root = str(Path(trioqueue.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)


def test_every_public_name_is_there_and_documented():
    from trioqueue import testing

    for name in dir(testing):
        assert getattr(testing, name).__doc__ or name == "LAWS", name
    with pytest.raises(AttributeError, match="nonsense"):
        testing.nonsense  # noqa: B018
