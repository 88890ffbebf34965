"""Mutants of the memory broker: its table, rooms, lanes and timer."""

from typing import Final

from tests.mutants._mutant import Mutant

_STRIKES = "test_cancel_everywhere.py::test_a_strike_at_every_29th_moment_breaks_no_law"

BROKER: Final = (
    # --- accepting ---------------------------------------------------------------------------
    Mutant(
        "a duplicate key is accepted",
        "brokers/_table.py",
        """\
            or (key is not None and (task.options.queue, key) in self._keys)
""",
        "",
        "keys are unique",
        (f"{_STRIKES}[priorities_and_delays]",),
        ledger=True,
    ),
    Mutant(
        "a key outlives a task that did not succeed",
        "brokers/_table.py",
        """\
        if task.options.key is not None:
            del self._keys[task.options.queue, task.options.key]
        if task_id not in self._dead:
""",
        """\
        if task_id not in self._dead:
""",
        "keys are unique",
        ("test_memory_broker.py::test_a_key_is_free_again_at_a_terminal_state_and_not_before",),
    ),
    Mutant(
        "a key outlives a task that succeeded",
        "brokers/_memory.py",
        """\
        if task.options.key is not None:
            del self._keys[task.options.queue, task.options.key]
""",
        "",
        "keys are unique",
        ("test_memory_broker.py::test_a_key_is_free_again_at_a_terminal_state_and_not_before",),
    ),
    Mutant(
        "a duplicate gets a handle of its own, of no task",
        "brokers/_memory.py",
        "accepted.append(self._known(task))",
        "accepted.append(task)",
        "nothing lost",
        (f"{_STRIKES}[priorities_and_delays]",),
        ledger=True,
    ),
    Mutant(
        "the id of a task that has ended runs again",
        "brokers/_table.py",
        """\
            or task_id in self._ended
            or task_id in self._ended_before
""",
        "",
        "exact settle",
        ("test_memory_broker.py::test_the_same_id_again_answers_instead_of_running_again",),
    ),
    Mutant(
        "a quick submit does not look at the bound",
        "brokers/_memory.py",
        """\
            or room.used >= room.capacity
""",
        "",
        "capacity holds",
        (f"{_STRIKES}[mixed_kinds]",),
        ledger=True,
    ),
    Mutant(
        "a quick submit overtakes those in line",
        "brokers/_memory.py",
        """\
            or room.queued
""",
        "",
        "order",
        ("test_gaps.py::test_a_quick_submit_does_not_overtake_a_batch_in_line",),
    ),
    Mutant(
        "a closed queue accepts what is submitted quickly",
        "brokers/_memory.py",
        """\
            or self._closed
            or room.queued""",
        """\
            or room.queued""",
        "nothing after stop",
        ("test_queue_stops.py::test_close_refuses_new_tasks_handlers_own_included",),
    ),
    Mutant(
        "room that was granted to a cancelled submitter is lost",
        "brokers/_room.py",
        """\
        if waiter.granted:
            self.give(waiter.count)
""",
        """\
        if waiter.granted:
            pass
""",
        "conservation",
        ("test_memory_room.py::test_a_submit_cancelled_in_the_step_of_its_grant_leaves_no_ghost",),
    ),
    Mutant(
        "a waiting submitter does not look whether it was closed",
        "brokers/_room.py",
        """\
        if self.closed:
            self._leave(waiter)
""",
        """\
        if not self.capacity:
            self._leave(waiter)
""",
        "nothing after stop",
        (f"{_STRIKES}[close_while_submitters_block]",),
        ledger=True,
    ),
    Mutant(
        "closing wakes nobody",
        "brokers/_room.py",
        """\
        for waiter in self._waiters:
            waiter.event.set()
""",
        "",
        "stops end",
        ("test_queue_stops.py::test_close_wakes_those_who_wait_for_room",),
    ),
    Mutant(
        "those behind a submitter who gives up are not let in",
        "brokers/_room.py",
        """\
            self._grant()  # the next one may be smaller
""",
        "",
        "work conservation",
        ("test_memory_room.py::test_a_submitter_behind_a_cancelled_large_batch_is_let_in",),
    ),
    Mutant(
        "what falls due goes behind the waiting submitters",
        "brokers/_room.py",
        """\
        while self._urgent and self.fits(1):
""",
        """\
        while self._urgent and not self._waiters and self.fits(1):
""",
        "order",
        ("test_memory_room.py::test_what_falls_due_without_room_goes_ahead_of_waiting_submitters",),
    ),
    # --- time --------------------------------------------------------------------------------
    Mutant(
        "half of every delay",
        "brokers/_table.py",
        "now + options.delay",
        "now + options.delay / 2",
        "never early",
        (f"{_STRIKES}[priorities_and_delays]",),
        ledger=True,
    ),
    Mutant(
        "no backoff at all",
        "brokers/_table.py",
        "self._due[task.id] = self._now() + delay",
        "self._due[task.id] = self._now()",
        "never early",
        (f"{_STRIKES}[mixed_kinds]",),
        ledger=True,
    ),
    Mutant(
        "a task that has expired is started if the timer is late",
        "brokers/_memory.py",
        "if now >= self._expires_at(task):",
        "if now > self._expires_at(task):",
        "life cycle",
        ("test_gaps.py::test_what_has_expired_is_not_claimed_whatever_the_timer_does",),
    ),
    Mutant(
        "a task expires although it was started",
        "brokers/_table.py",
        "if expires is None or task.deliveries:",
        "if expires is None:",
        "life cycle",
        ("test_gaps.py::test_a_retry_does_not_expire",),
    ),
    Mutant(
        "snoozed tasks close the queue",
        "brokers/_memory.py",
        """\
            self._set_apart(task)
""",
        """\
            pass
""",
        "capacity holds",
        ("test_memory_room.py::test_a_snoozed_task_is_counted_apart_while_it_sleeps",),
    ),
    Mutant(
        "a new alarm does not wake the timer",
        "brokers/_timer.py",
        """\
            self._sleep.deadline = when
""",
        """\
            pass
""",
        "work conservation",
        ("test_options.py::test_a_delay_counts_from_acceptance",),
    ),
    # --- lanes -------------------------------------------------------------------------------
    Mutant(
        "a retry goes to the front",
        "brokers/_table.py",
        """\
        self._lanes.put(task)
        self._emit(Move.DUE, task)
""",
        """\
        self._lanes.put(task, front=True)
        self._emit(Move.DUE, task)
""",
        "order",
        ("test_memory_order.py::test_a_retry_goes_behind_what_became_ready_before_it",),
    ),
    Mutant(
        "what a stop gave back goes to the end",
        "brokers/_table.py",
        """\
                task.trace().interruptions += 1
                self._lanes.put(task, front=True)
""",
        """\
                task.trace().interruptions += 1
                self._lanes.put(task)
""",
        "order",
        ("test_memory_order.py::test_what_was_given_back_goes_to_the_front_of_its_priority",),
    ),
    Mutant(
        "the youngest lane is served first",
        "brokers/_lanes.py",
        "heapq.heappush(self._heap, (lane.level, lane.place, task.order, lane))",
        "heapq.heappush(self._heap, (lane.level, lane.place, -task.order, lane))",
        "order",
        (f"{_STRIKES}[capped_types_compete]", f"{_STRIKES}[mixed_kinds]"),
        ledger=True,
    ),
    Mutant(
        "priorities are reversed",
        "brokers/_lanes.py",
        "task.type, -options.priority,",
        "task.type, options.priority,",
        "order",
        (f"{_STRIKES}[priorities_and_delays]",),
        ledger=True,
    ),
    Mutant(
        "all queues are one lane",
        "brokers/_lanes.py",
        "key = (options.queue,",
        'key = ("default",',
        "order",
        (f"{_STRIKES}[pause_and_resume]",),
        ledger=True,
    ),
    Mutant(
        "a capped type stands in the way of the others",
        "brokers/_lanes.py",
        """\
            passed.append(heapq.heappop(heap))
""",
        """\
            passed.append(heapq.heappop(heap))
            break
""",
        "work conservation",
        (f"{_STRIKES}[capped_types_compete]",),
        ledger=True,
    ),
    Mutant(
        "a resumed queue wakes nobody",
        "brokers/_inspector.py",
        """\
            self._paused.discard(queue)
        self._notify()
""",
        """\
            self._paused.discard(queue)
""",
        "work conservation",
        (f"{_STRIKES}[pause_and_resume]",),
    ),
    # --- leases ------------------------------------------------------------------------------
    Mutant(
        "whoever held a lease may settle it",
        "brokers/_memory.py",
        """\
        if task.lease is not lease:
            return self._refuse(lease, settlement.outcome, now)
""",
        "",
        "fencing",
        ("test_memory_broker.py",),
    ),
    Mutant(
        "whoever held a lease may complete it",
        "brokers/_memory.py",
        """\
        if task.lease is not lease:
            return self._refuse(lease, outcome, now)
""",
        "",
        "fencing",
        (f"{_STRIKES}[lost_leases]",),
    ),
    Mutant(
        "a handler goes on although its lease was lost",
        "brokers/_inspector.py",
        """\
        if self._on_cancel is not None:
            self._on_cancel(lease)
        self._follow""",
        """\
        self._follow""",
        "no orphan",
        ("test_worker_ends.py::test_a_handler_that_lost_its_lease_is_cancelled_at_once",),
    ),
    Mutant(
        "the fence does not grow",
        "brokers/_memory.py",
        "task.deliveries = token = task.deliveries + 1",
        "task.deliveries = token = task.failures + 1",
        "fencing",
        (f"{_STRIKES}[lost_leases]", f"{_STRIKES}[mixed_kinds]"),
        ledger=True,
    ),
    Mutant(
        "a lost lease is a failure of the task",
        "brokers/_inspector.py",
        "trail.losses += 1",
        "trail.losses += 1\n        task.failures += 1",
        "no burned attempt",
        (f"{_STRIKES}[lost_leases]",),
        ledger=True,
    ),
    Mutant(
        "a settlement takes effect each time",
        "brokers/_memory.py",
        """\
        task.lease = None
        self._running -= 1
        self._moves[settlement.move] += 1
""",
        """\
        self._running -= 1
        self._moves[settlement.move] += 1
""",
        "exact settle",
        ("test_memory_broker.py::test_a_settlement_takes_effect_once",),
    ),
    Mutant(
        "a repeated settlement is taken for a zombie's",
        "brokers/_memory.py",
        "if lease.settled is outcome:",
        "if lease.settled is not None and lease.settled is not outcome:",
        "exact settle",
        ("test_memory_broker.py::test_a_settlement_takes_effect_once",),
    ),
    Mutant(
        "a task that kills its process again and again is never stopped",
        "brokers/_inspector.py",
        "trail.losses > MAX_LOSSES",
        "trail.losses > 10 * MAX_LOSSES",
        "life cycle",
        ("test_memory_letters.py::test_a_task_that_is_lost_again_and_again_is_stopped",),
    ),
    # --- ends --------------------------------------------------------------------------------
    Mutant(
        "what is handed back, cancelled or expired is not counted",
        "brokers/_table.py",
        """\
        self._moves[move] += 1
        if move is Move.HANDED_BACK:
""",
        """\
        if move is Move.HANDED_BACK:
""",
        "conservation",
        (f"{_STRIKES}[cancel_by_handle]",),
        ledger=True,
    ),
    Mutant(
        "a task is told to have ended before it has",
        "brokers/_table.py",
        """\
        self._leave(task, outcome)
        self._emit(move, task, outcome)
        self._give_place(task)
""",
        """\
        self._emit(move, task, outcome)
        self._leave(task, outcome)
        self._give_place(task)
""",
        "observers are guests",
        ("test_queue.py::test_the_numbers_add_up_at_every_event",),
    ),
    Mutant(
        "a task is told to be accepted before it is",
        "brokers/_table.py",
        """\
        self._table[task.id] = task
        self._submitted += 1
        if task.options.plain:
""",
        """\
        self._table[task.id] = task
        if self.events.observers:
            self.events.task(_SUBMITTED, now, task)
        self._submitted += 1
        if task.options.plain:
""",
        "observers are guests",
        ("test_queue.py::test_the_numbers_add_up_at_every_event",),
    ),
    Mutant(
        "a stop does not hand back what backs off",
        "brokers/_memory.py",
        """\
            if task.state is not State.RUNNING:
                self._end_waiting""",
        """\
            if task.state is State.READY:
                self._end_waiting""",
        "nothing after stop",
        ("test_memory_order.py::test_a_stop_hands_back_what_waits_and_what_comes_back_later",),
    ),
    Mutant(
        "what comes back after a stop is not handed back",
        "brokers/_table.py",
        """\
        if self._stopped:
            self._end_waiting""",
        """\
        if self._stopped and not self._closed:
            self._end_waiting""",
        "nothing after stop",
        ("test_memory_order.py::test_a_stop_hands_back_what_waits_and_what_comes_back_later",),
    ),
    Mutant(
        "a drain looks at the table alone",
        "brokers/_memory.py",
        "while self._room.used or self._delayed.used:",
        "while self._table:",
        "conservation",
        ("test_gaps.py::test_a_drain_waits_for_a_submitter_who_was_let_in",),
    ),
    Mutant(
        "a drain waits for what is paused",
        "brokers/_memory.py",
        "if stuck is not None:",
        "if stuck is not None and not stuck:",
        "life cycle",
        ("test_queue_stops.py::test_a_paused_queue_that_is_not_empty_cannot_be_left",),
    ),
    Mutant(
        "an evicted dead letter is not counted",
        "brokers/_table.py",
        """\
            self._forget_letter(evicted, Move.EVICTED)
""",
        "",
        "conservation",
        (f"{_STRIKES}[dead_letters]",),
        ledger=True,
    ),
    Mutant(
        "a letter that was thrown away stays dead",
        "brokers/_table.py",
        """\
        task.move(move)
        self._moves[move] += 1
        self._remember(task)
""",
        """\
        self._moves[move] += 1
        self._remember(task)
""",
        "terminal",
        (f"{_STRIKES}[dead_letters]",),
        ledger=True,
    ),
    Mutant(
        "a replay keeps the failures",
        "brokers/_inspector.py",
        """\
        task.failures = 0
""",
        "",
        "no burned attempt",
        (f"{_STRIKES}[dead_letters]",),
        ledger=True,
    ),
    Mutant(
        "a letter is replayed onto a taken key",
        "brokers/_inspector.py",
        "if key is not None and (task.options.queue, key) in self._keys:",
        "if key is None and (task.options.queue, key) in self._keys:",
        "keys are unique",
        ("test_memory_letters.py::test_what_cannot_be_replayed_or_purged",),
    ),
    # --- what an operator makes due ------------------------------------------------------------
    Mutant(
        "what was made due is due once more when its time comes",
        "brokers/_inspector.py",
        """\
            self._timer.cancel(task_id)
            self._ring(task_id)
""",
        """\
            self._ring(task_id)
""",
        "life cycle",
        (
            "test_conformance_memory.py::TestMemoryBroker::test_a_scheduled_task_becomes_due_now[retried]",
        ),
    ),
    Mutant(
        "a snoozed task that was made due at once is counted apart all the same",
        "brokers/_memory.py",
        "if task.state is State.SCHEDULED and settlement.move is Move.SNOOZED",
        "if settlement.move is Move.SNOOZED",
        "life cycle",
        ("test_memory_room.py::test_an_observer_may_make_due_what_it_is_told_of",),
    ),
)
