"""Mutants of what operators look at and start: rates, top, the renewal of workers, health."""

from typing import Final

from tests.mutants._mutant import Mutant

_CHEAP: Final = "looking costs little"
_SHOWN: Final = "what is shown is so"
_RENEWED: Final = "stops end"

OPERATE: Final = (
    Mutant(
        "counters that went back make negative rates",
        "_rates.py",
        "            readings.clear()\n",
        "            pass\n",
        _SHOWN,
        ("test_rates.py::test_counters_that_went_back_begin_anew",),
    ),
    Mutant(
        "failures that end a task are no failures",
        "_rates.py",
        "rate(Move.RETRIED, Move.DIED)",
        "rate(Move.RETRIED)",
        _SHOWN,
        ("test_rates.py::test_rates_are_differences_over_the_time_between",),
    ),
    Mutant(
        "top asks for the history of an attempt again and again",
        "cli/_top_look.py",
        "for key in wanted.keys() - self._known.keys():",
        "for key in wanted.keys():",
        _CHEAP,
        ("test_cli_top.py::test_a_look_brings_what_runs_what_fails_and_who_works",),
    ),
    Mutant(
        "the picture is higher than the terminal",
        "cli/_top_frame.py",
        "    lines = lines[: max(0, height - 1)]\n",
        "",
        _SHOWN,
        ("test_cli_top.py::test_the_picture_fits_the_terminal",),
    ),
    Mutant(
        "a broker that is back is still said to be away",
        "cli/_top.py",
        'self._picture.asked, self._picture.away = None, ""',
        "pass",
        _SHOWN,
        ("test_cli_top.py::test_a_broker_that_is_away_is_told_and_asked_again",),
    ),
    Mutant(
        "a worker that does not make room is never killed",
        "cli/_supervisor.py",
        "                child.limit.deadline = end\n",
        "",
        _RENEWED,
        ("test_cli_supervisor.py::test_what_does_not_make_room_is_killed",),
    ),
    Mutant(
        "a file that is broken still is forgotten when another is saved",
        "cli/_reload.py",
        "self._changed |= fresh",
        "self._changed = fresh",
        _SHOWN,
        ("test_cli_reload.py::test_a_syntax_error_is_told_and_the_old_code_goes_on",),
    ),
    Mutant(
        "a redirection is health",
        "cli/_probe.py",
        "200 <= status <= 299",
        "200 <= status <= 399",
        _SHOWN,
        ("test_cli_health.py::test_what_an_answer_means",),
    ),
    Mutant(
        "a worker of any host is one of ours",
        "cli/_health.py",
        "if worker.host == host]",
        "]",
        _SHOWN,
        ("test_cli_health.py::test_a_live_worker_of_this_host_is_well",),
    ),
)
