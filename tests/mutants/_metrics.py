"""Mutants of metrics, health and the server that tells them."""

from typing import Final

from tests.mutants._mutant import Mutant

_SO: Final = "what is shown is so"
_GUESTS: Final = "observers are guests"
_METRICS: Final = "observe/_metrics.py"
_T: Final = "test_metrics.py::test_"

METRICS: Final = (
    # --- counting -----------------------------------------------------------------------------
    Mutant(
        "a retry waits from the task's acceptance",
        _METRICS,
        "elif waited is not None and delivery == 1:",
        "elif waited is not None:",
        _SO,
        (f"{_T}only_the_first_start_waits",),
    ),
    Mutant(
        "what was purged has run once more",
        _METRICS,
        "                if name in _ENDS:\n",
        "                if name:\n",
        _SO,
        (f"{_T}the_running_time_of_a_dead_letter_counts_once",),
    ),
    Mutant(
        "a bound belongs to the bucket above it",
        _METRICS,
        "bisect_left(self._duration, duration)",
        "bisect_left(self._duration, duration + 1e-9)",
        _SO,
        (f"{_T}a_time_is_in_its_bucket_and_in_all_above",),
    ),
    Mutant(
        "what was claimed ahead and given back was interrupted",
        _METRICS,
        "(_GIVEN_BACK if back else _INTERRUPTED)",
        "_INTERRUPTED",
        _SO,
        (f"{_T}a_release_is_counted_by_its_reason",),
    ),
    Mutant(
        "a broker may have any number of lanes",
        "observe/_metrics_look.py",
        "    if len(lanes) <= most:\n",
        "    if True:\n",
        _GUESTS,
        (f"{_T}the_lanes_of_a_broker_are_bounded_too",),
    ),
    Mutant(
        "lanes for which there is no room are written into another's place",
        "observe/_metrics_cells.py",
        "            if used >= self.form.lanes - 1:\n",
        "            if used >= self.form.lanes:\n",
        _SO,
        (f"{_T}lanes_are_bounded",),
    ),
    Mutant(
        "those who wait for a broker that hangs wait for it one after the other",
        _METRICS,
        "self._looked = known = seen, trio.current_time()",
        "self._looked = known = seen, trio.current_time() - patience",
        _GUESTS,
        (f"{_T}a_broker_that_does_not_answer_is_told_and_costs_only_its_own",),
    ),
    # --- several processes --------------------------------------------------------------------
    Mutant(
        "a successor begins at zero",
        "observe/_metrics_cells.py",
        "if self.values[_FORM] == form.mark:",
        "if not self.values[_FORM]:",
        _SO,
        ("test_cli_listen.py::test_processes_are_added_up_and_a_successor_goes_on",),
    ),
    Mutant(
        "a process that is only starting is ready as its predecessor was",
        "observe/_metrics_cells.py",
        "if self.values[_READY] == float(pid) else None",
        "if self.values[_READY] else None",
        _SO,
        ("test_cli_listen.py::test_all_processes_make_it_ready",),
    ),
    # --- health and serving -------------------------------------------------------------------
    Mutant(
        "a queue that stops is ready",
        "web/_operations.py",
        '            return ["the queue is stopping"]\n',
        "            return ()\n",
        _SO,
        (
            "test_operations.py::"
            "test_a_queue_that_stops_is_live_and_not_ready_and_still_tells_its_metrics",
        ),
    ),
    Mutant(
        "a client that does not read is waited for",
        "web/_serve.py",
        "                self._hang_up()\n",
        "",
        "stops end",
        ("test_web_serve.py::test_a_client_that_does_not_read_holds_up_no_end",),
    ),
    Mutant(
        "a fault in one connection ends the server",
        "web/_serve.py",
        "        except* Exception:  # a cancellation beside it goes on\n",
        "        except* ZeroDivisionError:\n",
        _GUESTS,
        ("test_web_serve.py::test_a_fault_in_one_connection_is_the_end_of_that_one",),
    ),
    Mutant(
        "a fault of the server ends the work",
        "cli/_listen.py",
        "        if not bound:\n",
        "        if True:\n",
        _GUESTS,
        ("test_cli_listen.py::test_a_fault_of_the_server_does_not_touch_the_work",),
    ),
)
