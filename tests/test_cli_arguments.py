"""The command line's arguments: flags, environment, help, and one line for what is wrong."""

import subprocess
import sys

import pytest

import trioqueue

from .command import PATIENCE, environment, run, sums

pytestmark = pytest.mark.main  # the whole command line, again and again


def test_version_is_the_packages():
    """`--version` names the program and its version."""
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"trioqueue {trioqueue.__version__}\n",
        "",
    )


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)], ids=" ".join)
def test_help_lists_the_commands(arguments: tuple[str, ...]):
    """Without arguments as with --help: the commands, and exit 0."""
    done = run(*arguments)
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert done.stderr == ""


def test_help_of_the_demo_names_flags_variables_and_examples():
    """A newcomer finds every flag, the environment variables and an example to type."""
    text = run("demo", "--help").stdout
    for flag in ("--tasks", "--workers", "--max-attempts", "--failure-rate", "--work", "--seed"):
        assert flag in text
    for variable in ("TASKS", "WORKERS", "MAX_ATTEMPTS"):
        assert f"env var: {variable}" in text
    assert "trioqueue demo 50 --workers 5" in text


WRONG = {
    "no workers": (["demo", "--workers", "0"], {}, ["--workers", ">= 1"]),
    "a million workers": (["demo", "--workers", "1000000"], {}, ["--workers", "10000"]),
    "rate over 1": (["demo", "--failure-rate", "2"], {}, ["--failure-rate", "<= 1"]),
    "rate below 0": (["demo", "--failure-rate=-1"], {}, ["--failure-rate", ">= 0"]),
    "rate is no number": (["demo", "--failure-rate", "nan"], {}, ["--failure-rate"]),
    "endless work": (["demo", "--work", "inf"], {}, ["--work"]),
    "no tasks": (["demo", "0"], {}, ["TASKS", ">= 1"]),
    "half a task": (["demo", "--tasks", "1.5"], {}, ["--tasks", "1.5", "whole number"]),
    "no attempts": (["demo", "--max-attempts", "0"], {}, ["--max-attempts"]),
    "words for tasks": (["demo"], {"TASKS": "abc"}, ["TASKS", "abc"]),
    "words for workers": (["demo"], {"WORKERS": "many"}, ["WORKERS", "many"]),
    "no attempts in the environment": (["demo"], {"MAX_ATTEMPTS": "0"}, ["MAX_ATTEMPTS"]),
    "nothing in the environment": (["demo"], {"TASKS": ""}, ["TASKS"]),
    "a flag without its value": (["demo", "--seed"], {}, ["--seed"]),
    "unknown flag": (["demo", "--worker", "3"], {}, ["--worker", "Did you mean --workers?"]),
    "unknown command": (["dmeo"], {}, ["dmeo", 'Did you mean "demo"?']),
    "one argument too many": (["demo", "1", "2"], {}, ["2"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_one_clear_line_and_exit_2(name: str):
    """The line says what is wrong with which argument or variable; nothing else is printed."""
    arguments, variables, words = WRONG[name]
    done = run(*arguments, **variables)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("trioqueue: ")
    for word in words:
        assert word in line


def test_the_environment_sets_the_numbers():
    """TASKS, WORKERS and MAX_ATTEMPTS do what their flags do."""
    done = run(
        "demo", "--failure-rate", "1", "--work", "0", TASKS="7", WORKERS="2", MAX_ATTEMPTS="4"
    )
    assert done.returncode == 0
    assert "7 tasks, 2 workers" in done.stdout
    assert sums(done.stdout) == {"submitted": 7, "succeeded": 0, "dead": 7}
    assert done.stdout.count("dead after 4 attempts") == 7


@pytest.mark.parametrize("flags", [("3",), ("--tasks", "3")], ids=" ".join)
def test_a_flag_wins_over_the_environment(flags: tuple[str, ...]):
    """What is typed is nearer than what is set; the number of tasks may also stand alone."""
    done = run("demo", *flags, "--work", "0", "--failure-rate", "0", TASKS="7")
    assert sums(done.stdout) == {"submitted": 3, "succeeded": 3, "dead": 0}


@pytest.mark.parametrize("missing", ["cyclopts", "rich", "rich.live"])
def test_a_missing_extra_is_named(missing: str):
    """After a plain install the command says what to install, in one line, and exits 2."""
    code = f"import sys; sys.modules[{missing!r}] = None; from trioqueue.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "pip install 'trioqueue[cli]'" in line
