"""The suite finds planted bugs: each mutant of the core makes its part of the suite fail."""

import ast
from pathlib import Path

import pytest

import trioqueue
from tests.mutants import LAW_NAMES, MUTANTS, PROMISES, Mutant
from tests.mutants._run import attack, copy_to, run_tests

PACKAGE = Path(trioqueue.__file__).parent

#: Cheap, and each of another kind: killed in every run of the main tier.
QUICK = (
    "an await between claim and handler",
    "a worker takes once more in a cancelled pool",
    "a token is never taken: the limit is ignored",
    "submit waits after its effect",
    "an interruption is a failure",
    "whoever held a lease may complete it",
)
#: Not to be broken in one program: Trio itself ends every handler with the pool's nursery.
NOT_BY_THE_LEDGER = {"no orphan"}

each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
each_quick_one = pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS if mutant.name in QUICK], ids=lambda mutant: mutant.name
)


def test_mutants_have_names_of_their_own() -> None:
    """One name, one mutant; and the quick ones are among them."""
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))
    assert set(QUICK) <= set(names)


@each_mutant
def test_every_mutant_still_applies(mutant: Mutant) -> None:
    """Its place is found exactly once, what it makes of it is code still, and not the same."""
    source = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    mutated = mutant.apply(source)
    if mutant.file.endswith(".lua"):  # no Python: its tests would all fail if it were no Lua
        assert mutated.split() != source.split()
    else:
        assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))
    assert mutant.law in {*LAW_NAMES, *PROMISES}
    assert mutant.tests


def test_every_law_has_a_mutant_that_breaks_it() -> None:
    """A law that no planted bug turns red may be no law at all."""
    assert {*LAW_NAMES, *PROMISES} == {mutant.law for mutant in MUTANTS}
    by_the_ledger = {mutant.law for mutant in MUTANTS if mutant.ledger}
    assert by_the_ledger == set(LAW_NAMES) - NOT_BY_THE_LEDGER


def kill(mutant: Mutant, place: Path) -> None:
    run = attack(place, mutant)
    assert run.failed, f"{mutant.name} survives {mutant.tests}:\n{run.output[-3000:]}"
    if mutant.ledger:
        assert f"  {mutant.law}: " in run.output, f"{mutant.name}: the ledger tells other laws"


@pytest.mark.main
def test_what_breaks_the_import_or_the_selection_is_no_kill(tmp_path: Path) -> None:
    """Only a test that fails kills a mutant."""
    mutant = MUTANTS[0]._replace(old="import math\n", new="import maths\n")
    assert attack(tmp_path / "import", mutant).failed == 0
    copy_to(tmp_path / "selection", None)
    assert run_tests(tmp_path / "selection", ["test_pool.py::test_there_is_none"]).failed == 0


@pytest.mark.main
@each_quick_one
def test_some_are_killed_in_every_run(mutant: Mutant, tmp_path: Path) -> None:
    """Each makes at least one test of its selection fail."""
    kill(mutant, tmp_path / "copy")


@pytest.mark.long
@each_mutant
def test_all_are_killed(mutant: Mutant, tmp_path: Path) -> None:
    """Each makes at least one test of its selection fail, and the ledger name the law."""
    kill(mutant, tmp_path / "copy")


@pytest.mark.long
def test_nothing_fails_without_a_mutant(tmp_path: Path) -> None:
    """It is the mutant that fails the selection, and not the copy."""
    copy_to(tmp_path / "copy", None)
    run = run_tests(tmp_path / "copy", sorted({test for mut in MUTANTS for test in mut.tests}))
    assert run.status == 0, run.output[-3000:]
