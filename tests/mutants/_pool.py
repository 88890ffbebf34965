"""Mutants of the pool and of one worker."""

from typing import Final

from tests.mutants._mutant import Mutant


def _cancelled(*scenarios: str) -> tuple[str, ...]:
    """The scenarios, struck at some of their moments, under the ledger's eyes."""
    test = "test_cancel_everywhere.py::test_a_strike_at_every_29th_moment_breaks_no_law"
    return tuple(f"{test}[{scenario}]" for scenario in scenarios)


POOL: Final = (
    Mutant(
        "an await between claim and handler",
        "_pool.py",
        """\
            turn.left -= 1
            task = lease.task
""",
        """\
            turn.left -= 1
            await trio.lowlevel.checkpoint()
            task = lease.task
""",
        "conservation",
        ("test_gaps.py::test_a_worker_may_be_cancelled_at_every_step_of_its_own",),
        ledger=True,
    ),
    Mutant(
        "the token is kept by a worker that dies",
        "_pool.py",
        """\
            self._workers.discard(worker)
            worker.let_go()
""",
        """\
            self._workers.discard(worker)
""",
        "tokens never leak",
        ("test_pool.py::test_a_token_never_leaks",),
    ),
    Mutant(
        "a worker parks with its token",
        "_pool.py",
        """\
        worker.let_go()
        running.set(None)
""",
        """\
        running.set(None)
""",
        "tokens never leak",
        _cancelled("capped_types_compete"),
        ledger=True,
    ),
    Mutant(
        "a late value counts as a timeout: cancel_called for cancelled_caught",
        "_pool.py",
        """\
            now = clock()
            worker.lease = None
            feed.complete_nowait""",
        """\
            now = clock()
            if worker.scope.cancel_called:
                return
            worker.lease = None
            feed.complete_nowait""",
        "exact settle",
        _cancelled("unruly_handlers"),
        ledger=True,
    ),
    Mutant(
        "a token is never taken: the limit is ignored",
        "_worker.py",
        """\
        if limiter is not None:
            limiter.acquire_on_behalf_of_nowait(self)
""",
        """\
        if limiter is None:
            limiter.acquire_on_behalf_of_nowait(self)
""",
        "limits hold",
        _cancelled("capped_types_compete"),
        ledger=True,
    ),
    Mutant(
        "one token too many",
        "_pool.py",
        "trio.CapacityLimiter(limit)",
        "trio.CapacityLimiter(limit + 1)",
        "limits hold",
        ("test_pool.py::test_a_limit_is_never_exceeded_and_is_used_to_the_full",),
    ),
    Mutant(
        "a freed token is not told to the others",
        "_worker.py",
        """\
            self.pool.admitted.add(self.limited)
""",
        "",
        "work conservation",
        _cancelled("capped_types_compete"),
        ledger=True,
    ),
    Mutant(
        "a worker takes once more in a cancelled pool",
        "_pool.py",
        """\
            await checkpoint_if_cancelled()
            if self.stopping:
""",
        """\
            if self.stopping:
""",
        "nothing after stop",
        ("test_gaps.py::test_no_handler_begins_in_a_queue_that_is_cancelled_from_outside",),
    ),
    Mutant(
        "a stray Cancelled goes on into the pool",
        "_pool.py",
        """\
            if worker.lease is None:
                raise  # not""",
        """\
            if worker.lease is None or isinstance(error, trio.Cancelled):
                raise  # not""",
        "isolation",
        ("test_worker_ends.py::test_a_stray_cancelled_is_a_crash_and_cancels_nobody",),
    ),
    Mutant(
        "a changed context is not noticed after a return",
        "_pool.py",
        """\
            worker.spent = worker.retired = True
""",
        """\
            worker.spent = True
""",
        "isolation",
        _cancelled("leaked_contextvars"),
        ledger=True,
    ),
    Mutant(
        "a changed context is not noticed after an error",
        "_pool.py",
        """\
        worker.retired |= not worker.is_clean()
""",
        "",
        "isolation",
        ("test_isolation.py::test_what_a_handler_sets_does_not_reach_the_next",),
    ),
    Mutant(
        "a changed context is looked for by its length alone",
        "_pool.py",
        "or (self.context and not worker.is_clean())",
        "",
        "isolation",
        ("test_isolation.py::test_what_a_handler_sets_does_not_reach_the_next",),
    ),
    Mutant(
        "a new worker begins in the context of whoever starts it",
        "_pool.py",
        """\
        self._context.copy().run(
            lambda: self._nursery.start_soon(self._live, worker, name=name),
        )
""",
        """\
        self._nursery.start_soon(self._live, worker, name=name)
""",
        "isolation",
        ("test_isolation.py::test_what_a_handler_sets_does_not_reach_the_next",),
    ),
    Mutant(
        "a worker that ends is not replaced",
        "_pool.py",
        "if not self.stopping and trio.current_effective_deadline() != -math.inf:",
        "if self.stopping:",
        "work conservation",
        ("test_isolation.py::test_a_worker_that_is_cancelled_is_replaced",),
    ),
    Mutant(
        "a busy worker calls nobody in its stead",
        "_pool.py",
        """\
        if self.idle and not self._coming:
            self.on_ready()
""",
        "",
        "work conservation",
        ("test_pool.py::test_all_workers_work_while_there_is_work",),
    ),
    Mutant(
        "the one who was called is awaited for ever",
        "_pool.py",
        """\
        # Called, and not cancelled (or only after the call: the end of this life calls the next).
        self._coming = False
""",
        "",
        "work conservation",
        ("test_pool.py::test_all_workers_work_while_there_is_work",),
    ),
    Mutant(
        "the one who lingers is awaited for ever",
        "_pool.py",
        """\
            await self._yield(worker)
            self._coming = False
""",
        """\
            await self._yield(worker)
""",
        "work conservation",
        _cancelled("capped_types_compete"),
        ledger=True,
    ),
    Mutant(
        "a worker parks after the stop",
        "_pool.py",
        """\
        if self.stopping:
            return
        self.idle += 1
""",
        """\
        self.idle += 1
""",
        "stops end",
        ("test_gaps.py::test_a_worker_that_is_born_during_a_stop_does_not_park",),
    ),
    Mutant(
        "a stop wakes nobody",
        "_pool.py",
        """\
        self._lot.unpark_all()
""",
        "",
        "stops end",
        _cancelled("stop_while_submitters_block"),
        ledger=True,
    ),
    Mutant(
        "a second stop prolongs the first",
        "_pool.py",
        "min(self._scope.deadline, trio.current_time() + grace)",
        "trio.current_time() + grace",
        "stops end",
        ("test_gaps.py::test_a_second_shutdown_never_prolongs_the_first",),
    ),
    Mutant(
        "a timeout half a millisecond early",
        "_worker.py",
        "wanted = now + timeout",
        "wanted = now + timeout - 0.000_5",
        "never early",
        _cancelled("mixed_kinds"),
        ledger=True,
    ),
    Mutant(
        "a timeout is late by ten times what is allowed",
        "_worker.py",
        "0.000_9 if timeout > 0.1",
        "0.009 if timeout > 0.1",
        "never early",
        ("test_worker.py::test_a_timeout_is_never_early_and_hardly_late_in_a_burst",),
    ),
    Mutant(
        "handlers in threads share one thread",
        "_calls.py",
        "trio.CapacityLimiter(max(threads, 1))",
        "trio.CapacityLimiter(1)",
        "work conservation",
        ("test_gaps.py::test_two_threads_of_two_workers_meet",),
    ),
    Mutant(
        "a wait that would close the circle is allowed",
        "_waits.py",
        "stuck = wait.worker in self._stuck()",
        "stuck = False",
        "deadlocks are told",
        ("test_deadlocks.py",),
    ),
    Mutant(
        "waits that turn out hopeless are not looked for",
        "_pool.py",
        """\
            self.waits.look()
""",
        """\
            pass
""",
        "deadlocks are told",
        ("test_deadlocks.py",),
    ),
    Mutant(
        "a turn never ends",
        "_pool.py",
        """\
            turn.left -= 1
""",
        "",
        "fairness",
        ("test_pool.py::test_a_saturated_pool_gives_others_their_turn",),
    ),
    Mutant(
        "the pool is open to Ctrl-C between any two lines",
        "_pool.py",
        """\
@final
@protected
class Pool:
""",
        """\
@final
class Pool:
""",
        "interrupts",
        (
            "test_interrupt_everywhere.py::test_ctrl_c_at_every_31st_line_breaks_no_law[mixed_kinds]",
            "test_interrupt_everywhere.py::test_ctrl_c_at_every_fourth_line_breaks_no_law[mixed_kinds]",
        ),
    ),
    Mutant(
        "a busy handler cannot be interrupted",
        "_calls.py",
        """\
@disable_ki_protection
async def call_handler(
""",
        """\
async def call_handler(
""",
        "interrupts",
        ("test_gaps.py::test_ctrl_c_interrupts_a_busy_handler",),
    ),
    Mutant(
        "an interrupt is a failure of the task that it hits",
        "_pool.py",
        "outer = fatal or trio.current_effective_deadline() == -math.inf",
        "outer = trio.current_effective_deadline() == -math.inf",
        "no burned attempt",
        ("test_worker_ends.py::test_an_interrupt_is_released_and_arrives_at_the_top",),
    ),
    Mutant(
        "a lost lease is settled all the same",
        "_pool.py",
        "if outcome.kind is not OutcomeKind.LOST:",
        "if outcome.kind is not None:",
        "fencing",
        ("test_worker_ends.py", "test_testing_script.py"),
    ),
    Mutant(
        "a handler's cancellation is not passed on",
        "_pool.py",
        "if isinstance(worker, Worker) and worker.lease is lease:",
        "if isinstance(worker, Worker) and worker.lease is not lease:",
        "no orphan",
        ("test_worker_ends.py::test_a_handler_that_lost_its_lease_is_cancelled_at_once",),
    ),
    Mutant(
        "on_dead is called for every failure",
        "brokers/_memory.py",
        "if settlement.move is Move.DIED and self._on_dead is not None:",
        "if settlement.failed and self._on_dead is not None:",
        "life cycle",
        ("test_hooks.py",),
    ),
)
