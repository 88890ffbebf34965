"""Mutants of the SQLite broker: its statements, its one transaction, its clocks."""

from typing import Final

from tests.mutants._mutant import Mutant

_CASES: Final = "test_conformance_sqlite.py::TestSqliteBroker::test_"
_TESTS: Final = ("test_broker_machine.py::TestBriefly", "test_broker_machine.py::TestAtLength")

SQLITE: Final = (
    # --- claim -------------------------------------------------------------------------------
    Mutant(
        "a file's lanes are served by their age, not by priority",
        "brokers/_sqlite_rows.py",
        "return (255 - priority) << _ORDER_BITS | _NOT_IN_FRONT | order",
        "return 155 << _ORDER_BITS | _NOT_IN_FRONT | order",
        "order",
        _TESTS,
    ),
    Mutant(
        "what was given back to a file goes to the end",
        "brokers/_sqlite_rows.py",
        "return (255 - priority) << _ORDER_BITS | seq",
        "return (255 - priority) << _ORDER_BITS | _NOT_IN_FRONT | _NOT_IN_FRONT >> 1 | seq",
        "order",
        _TESTS,
    ),
    Mutant(
        "a claim from several lanes takes more than there is room for",
        "brokers/_sqlite_moves.py",
        "        left[types[lane]] -= 1\n",
        "",
        "limits hold",
        _TESTS,
    ),
    Mutant(
        "a file's fence does not grow",
        "brokers/_sqlite_moves.py",
        "SET state = {RUNNING}, deliveries = deliveries + 1, lease_until",
        "SET state = {RUNNING}, deliveries = failures + 1, lease_until",
        "fencing",
        _TESTS,
    ),
    Mutant(
        "a task that was started expires in a file",
        "brokers/_sqlite_moves.py",
        "    expires_at = NULL, history",
        "    history",
        "life cycle",
        _TESTS,
    ),
    Mutant(
        "a claim takes from a paused queue",
        "brokers/_sqlite_moves.py",
        '"AND queue NOT IN (SELECT queue FROM paused) AND',
        '"AND',
        "life cycle",
        _TESTS,
    ),
    # --- limits in the whole fleet -----------------------------------------------------------
    Mutant(
        "a file does not count what others hold",
        "brokers/_sqlite_fleet.py",
        "            free[type_] -= running\n",
        "            pass\n",
        "limits hold",
        (f"{_CASES}all_openings_together_hold_no_more_than_the_limit",),
    ),
    Mutant(
        "a file counts slots by the last lane alone",
        "brokers/_sqlite_fleet.py",
        "            free[type_] -= running\n",
        "            free[type_] = limits[type_] - running\n",
        "limits hold",
        (f"{_CASES}the_limit_holds_over_all_queues",),
    ),
    Mutant(
        "claims of one transaction do not see each other",
        "brokers/_sqlite_moves.py",
        "    tx.write_lanes()  # with",
        "    tx.write_lanes() if not limits else None  # with",
        "limits hold",
        ("test_sqlite_thread.py::test_claims_of_one_group_share_the_slots",),
    ),
    Mutant(
        "who waits for a slot is not told when it is free",
        "brokers/_sqlite_engine.py",
        "if (ready or (wait.slots and tx.freed)) if wait.kind",
        "if ready if wait.kind",
        "work conservation",
        (f"{_CASES}who_waits_in_the_same_opening_is_told_of_a_free_slot",),
    ),
    Mutant(
        "a full type wakes who waits, again and again",
        "brokers/_sqlite_look.py",
        "if free.get(lane.type, 1) > 0",
        "if free.get(lane.type, 1) > -9",
        "fairness",
        (f"{_CASES}ready_tasks_of_a_full_type_do_not_make_anybody_spin",),
    ),
    # --- leases ------------------------------------------------------------------------------
    Mutant(
        "whoever held a lease in a file may settle it",
        "brokers/_sqlite_settle.py",
        """\
FROM tasks
WHERE seq = ? AND deliveries = ? AND state = {RUNNING}\"""",
        """\
FROM tasks
WHERE seq = ? AND deliveries >= ? AND state = {RUNNING}\"""",
        "fencing",
        _TESTS,
    ),
    Mutant(
        "whoever held a lease in a file may renew it",
        "brokers/_sqlite_moves.py",
        "lease_until = ? WHERE seq = ? AND deliveries = ? AND",
        "lease_until = ? WHERE seq = ? AND deliveries >= ? AND",
        "fencing",
        _TESTS,
    ),
    Mutant(
        "any settlement that comes too late is taken for a repeat",
        "brokers/_sqlite_settle.py",
        "repeated = before is settlement.outcome",
        "repeated = True",
        "exact settle",
        _TESTS,
    ),
    Mutant(
        "leases of another boot are still good",
        "brokers/_sqlite_tend.py",
        """\
        db.execute(f"UPDATE tasks SET lease_until = -1e18 WHERE state = {RUNNING}")
""",
        "",
        "no orphan",
        _TESTS,
    ),
    Mutant(
        "expired leases are swept before those that live are heard",
        "brokers/_sqlite_engine.py",
        'return [*living, Job("tend", tend, self._tell), *others]',
        'return [Job("tend", tend, self._tell), *living, *others]',
        "no burned attempt",
        _TESTS,
    ),
    # --- ends, keys, numbers -----------------------------------------------------------------
    Mutant(
        "a replay takes a key that is held",
        "brokers/_sqlite_operate.py",
        "if tx.find(held, options.queue, options.key):",
        "if tx.find(held, options.queue, None):",
        "keys are unique",
        _TESTS,
    ),
    Mutant(
        "a replay remembers the losses",
        "brokers/_sqlite_operate.py",
        "failures = 0, losses = 0, finish",
        "failures = 0, finish",
        "life cycle",
        _TESTS,
    ),
    Mutant(
        "a retry that is due at once is counted as one move",
        "brokers/_sqlite_settle.py",
        "        tx.count(Move.DUE, lane, SCHEDULED, state)\n",
        "        pass\n",
        "conservation",
        _TESTS,
    ),
    Mutant(
        "what is forgotten stays in the numbers of its lane",
        "brokers/_sqlite_tend.py",
        "            tx.shift(lane, state, None)\n",
        "            pass\n",
        "conservation",
        _TESTS,
    ),
    Mutant(
        "a due task goes where it stood when it was accepted",
        "brokers/_sqlite_tend.py",
        "where = place(task.options.priority, tx.next_order())",
        "where = place(task.options.priority, task.order)",
        "order",
        _TESTS,
    ),
    Mutant(
        "a result that was dropped is said to be there",
        "brokers/_sqlite_tend.py",
        "THEN flags | {UNSTORED} ELSE",
        "THEN flags ELSE",
        "life cycle",
        _TESTS,
    ),
    Mutant(
        "what a dead process had begun to write is told as done",
        "brokers/_sqlite_engine.py",
        """\
            self._point(jobs, "before-commit")
            self._execute("COMMIT")
""",
        """\
            self._execute("COMMIT")
            self._point(jobs, "before-commit")
""",
        "exact settle",
        _TESTS,
    ),
    # --- headers, and what an operator makes due -----------------------------------------------
    Mutant(
        "a file keeps no headers",
        "brokers/_sqlite_moves.py",
        "                encode_headers(opts.headers),\n",
        "                None,\n",
        "conservation",
        (f"{_CASES}headers_travel_with_the_task", *_TESTS),
    ),
    Mutant(
        "nobody hears that a task in a file is due",
        "brokers/_sqlite_tend.py",
        """\
    tx.execute(_MAKE_READY, (where, history, task.order))
    tx.made_ready = True
""",
        """\
    tx.execute(_MAKE_READY, (where, history, task.order))
""",
        "work conservation",
        (f"{_CASES}a_scheduled_task_becomes_due_now[retried]",),
    ),
    Mutant(
        "the newest of a file are the oldest backwards",
        "brokers/_sqlite_look.py",
        "among} ORDER BY seq{first})",
        "among} ORDER BY seq LIMIT {int(limit)})",
        "order",
        (f"{_CASES}the_newest_come_first_if_asked_for[ready]", *_TESTS),
    ),
)
