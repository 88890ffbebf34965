"""Mutants of the Redis broker: its scripts, and what Python makes of their answers.

The scripts are data of the package, read from where the package is: the copy has its own.
"""

from typing import Final

from tests.mutants._mutant import Mutant

_LUA: Final = "brokers/_redis_lua/"
_CASES: Final = "test_conformance_redis.py::TestRedisBroker::test_"
_MACHINE: Final = (
    *("test_conformance_redis.py::TestRedisBroker", "test_broker_machine.py::TestRedisBriefly"),
    "test_broker_machine.py::TestRedisAtLength",
)

REDIS: Final = (
    # --- leases ------------------------------------------------------------------------------
    Mutant(
        "whoever held a lease on a server may settle it",
        f"{_LUA}settle.lua",
        "if record[STATE] ~= S_RUNNING or record[FENCE] ~= token then",
        "if record[STATE] ~= S_RUNNING then",
        "fencing",
        _MACHINE,
    ),
    Mutant(
        "a lease on a task that was forgotten settles its heir",
        f"{_LUA}settle.lua",
        "if not record or record[SEQ] ~= seq then return 0 end",
        "if not record then return 0 end",
        "fencing",
        _MACHINE,
    ),
    Mutant(
        "whoever held a lease on a server may renew it",
        f"{_LUA}renew.lua",
        "record[STATE] == S_RUNNING and record[FENCE] == token and",
        "record[STATE] == S_RUNNING and",
        "fencing",
        _MACHINE,
    ),
    Mutant(
        "a task on a server may be lost as often as it likes",
        f"{_LUA}_ends.lua",
        "losses <= MAX_LOSSES and 'lost' or 'died'",
        "losses <= 1e9 and 'lost' or 'died'",
        "life cycle",
        _MACHINE,
    ),
    Mutant(
        "a claim takes before it has looked what time has brought about",
        f"{_LUA}claim.lua",
        "leave_idle(ME .. '/0')\ntend()\n",
        "leave_idle(ME .. '/0')\n",
        "life cycle",
        ("test_redis_time.py::test_a_worker_that_is_asleep_is_late_by_no_more_than_the_others",),
    ),
    Mutant(
        "a clock that is set back takes the server's time with it",
        f"{_LUA}_frame.lua",
        "if seen - now < STEP_BACK then",
        "if seen - now < 0 then",
        "life cycle",
        ("test_redis_time.py::test_a_clock_set_back_a_little_stands_still",),
    ),
    Mutant(
        "leases last for ever on a clock that was set back far",
        f"{_LUA}_frame.lua",
        "call('ZADD', LEASED, now + LEASE, id)",
        "call('ZADD', LEASED, 'LT', now + LEASE * 1e6, id)",
        "no orphan",
        ("test_redis_time.py::test_a_clock_set_back_far_keeps_nothing_for_long",),
    ),
    Mutant(
        "nobody looks at a clock that was set back far",
        f"{_LUA}_frame.lua",
        "      alarm = 0\n      call('HSET', META, 'alarm', 0)\n",
        "",
        "no orphan",
        ("test_redis_time.py::test_a_clock_set_back_far_keeps_nothing_for_long",),
    ),
    # --- replies that get lost ---------------------------------------------------------------
    Mutant(
        "a claim whose reply was lost leaves its tasks with nobody",
        f"{_LUA}claim.lua",
        "if last == number then",
        "if last == number .. '?' then",
        "no orphan",
        (
            "test_redis_lost_replies.py::test_claim",
            "test_redis_lost_replies.py::test_claim_that_gave_up",
        ),
    ),
    Mutant(
        "a publish whose reply was lost says that all was there before",
        f"{_LUA}publish.lua",
        "if before then",
        "if before == '' then",
        "exact settle",
        ("test_redis_lost_replies.py::test_publish",),
    ),
    Mutant(
        "a cancel whose reply was lost is told to be too late",
        f"{_LUA}cancel.lua",
        "if before then",
        "if before == '' then",
        "life cycle",
        ("test_redis_lost_replies.py::test_cancel_of_what_waits",),
    ),
    Mutant(
        "a settlement whose reply was lost is refused",
        f"{_LUA}settle.lua",
        "return not settler and 0 or settler == ME and 3 or 2",
        "return 0",
        "exact settle",
        ("test_redis_lost_replies.py::test_settle",),
    ),
    Mutant(
        "a settlement that is done again is told of again",
        "brokers/_redis.py",
        "if lease.settled is not None and code != 1:",
        "if lease.settled is not None and code == 9:",
        "exact settle",
        _MACHINE,
    ),
    # --- order -------------------------------------------------------------------------------
    Mutant(
        "what was given back to a server goes to the end",
        f"{_LUA}settle.lua",
        "enter_ready(id, lane, front(record[PRIORITY], record[SEQ]))",
        "enter_ready(id, lane, place(record[PRIORITY], next_order()))",
        "order",
        _MACHINE,
    ),
    Mutant(
        "places on a server are not apart from those in front",
        f"{_LUA}_lanes.lua",
        "return (255 - priority) * 2 * ORDERS + ORDERS + order",
        "return (255 - priority) * 2 * ORDERS + order",
        "order",
        _MACHINE,
    ),
    Mutant(
        "priorities on a server meet when many tasks were accepted",
        f"{_LUA}_lanes.lua",
        "local ORDERS = 2 ^ 44",
        "local ORDERS = 2 ^ 43",
        "order",
        ("test_redis_order.py::test_priorities_are_exact_to_the_edges",),
    ),
    Mutant(
        "one lane after the other is claimed from",
        f"{_LUA}claim.lua",
        "if looked_at > 1 then",
        "if looked_at > 99 then",
        "order",
        ("test_redis_order.py::test_no_queue_starves",),
    ),
    # --- who is called -----------------------------------------------------------------------
    Mutant(
        "a call for who waits no more is not passed on",
        "brokers/_redis.py",
        "                    self._nursery.start_soon(self._pass_on)\n",
        "                    pass\n",
        "work conservation",
        ("test_redis_wakeups.py::test_who_waits_no_more_passes_it_on",),
    ),
    Mutant(
        "whoever is called is taken to have heard",
        f"{_LUA}_lanes.lua",
        "'r ' .. string.sub(who, slash + 1)) > 0 then return end",
        "'r ' .. string.sub(who, slash + 1)) >= 0 then return end",
        "work conservation",
        ("test_redis_wakeups.py::test_the_dead_are_skipped",),
    ),
    Mutant(
        "what a claim leaves is left to chance",
        f"{_LUA}claim.lua",
        "  if spare_of(type_of(lane)) > 0 then made_ready[lane] = true end\n",
        "",
        "work conservation",
        ("test_redis_wakeups.py::test_a_claim_that_leaves_something_wakes_the_next",),
    ),
    Mutant(
        "everybody is called for each task",
        f"{_LUA}_lanes.lua",
        "'r ' .. string.sub(who, slash + 1)) > 0 then return end",
        "'r ' .. string.sub(who, slash + 1)) > 99 then return end",
        "fairness",
        ("test_redis_wakeups.py::test_one_task_wakes_one",),
    ),
    Mutant(
        "a dead warden is waited for",
        f"{_LUA}_lanes.lua",
        "return call('PUBSUB', ask, P .. ':@' .. opening)[2] > 0",
        "return call('PUBSUB', ask, P .. ':@' .. opening)[2] >= 0",
        "no orphan",
        (*_MACHINE, "test_redis_order.py::test_one_opening_watches_the_clock_for_all"),
    ),
    Mutant(
        "the warden is not told of what is due sooner",
        f"{_LUA}_finish.lua",
        "    if warden and not knows_alarm then send(warden, 'a') end\n",
        "",
        "no orphan",
        ("test_redis_order.py::test_one_opening_watches_the_clock_for_all",),
    ),
    # --- room, limits, keys, ends ------------------------------------------------------------
    Mutant(
        "a server takes one task more than it has room for",
        f"{_LUA}publish.lua",
        "if number > 0 and room < 0 then return true end",
        "if number > 0 and room < -1 then return true end",
        "capacity holds",
        (
            "test_redis_order.py::test_a_full_queue_refuses_if_it_was_told_to",
            "test_redis_order.py::test_a_full_queue_makes_wait",
        ),
    ),
    Mutant(
        "who waits for room is not called when there is some",
        f"{_LUA}_finish.lua",
        "  if freed_room then call_one(SUBMITTERS, 'f') end\n",
        "",
        "work conservation",
        ("test_redis_order.py::test_a_full_queue_makes_wait",),
    ),
    Mutant(
        "a slot of the fleet is not counted while its task runs",
        f"{_LUA}_finish.lua",
        "  add_to_lanes(types, 't', {})\n",
        "",
        "limits hold",
        (f"{_CASES}all_openings_together_hold_no_more_than_the_limit",),
    ),
    Mutant(
        "a key on a server outlives its task",
        f"{_LUA}_ends.lua",
        "  if record[KEY] then call('DEL',",
        "  if record[KEY] == '?' then call('DEL',",
        "keys are unique",
        (f"{_CASES}a_task_that_has_ended_holds_no_key",),
    ),
    Mutant(
        "a replay on a server takes a key that is held",
        f"{_LUA}replay.lua",
        "if holder and call('EXISTS', holder) == 1 then return 2 end",
        "",
        "keys are unique",
        _MACHINE,
    ),
    Mutant(
        "an end on a server is forgotten with its result",
        "brokers/_redis_calls.py",
        "return max(self.retention, self.remember)",
        "return self.retention",
        "life cycle",
        (*_MACHINE, "test_redis_order.py::test_a_result_has_its_time"),
    ),
    Mutant(
        "a purge leaves its tombstone for ever",
        f"{_LUA}purge.lua",
        "  sooner = math.min(sooner, now + TOMBSTONE)\n",
        "",
        "life cycle",
        ("test_redis_order.py::test_what_was_purged_is_forgotten_in_its_time",),
    ),
    Mutant(
        "a long payload outlives its task",
        f"{_LUA}_records.lua",
        "  if not record[PAYLOAD] then call('DEL', PAYLOADS .. id) end\n",
        "",
        "conservation",
        ("test_redis_order.py::test_a_result_has_its_time",),
    ),
    Mutant(
        "a delay on a server may be over early",
        "brokers/_redis_rows.py",
        "return ceil(min(seconds, _FOR_EVER) * 1e6)",
        "return int(-500 + min(seconds, _FOR_EVER) * 1e6)",
        "never early",
        ("test_cancel_durable.py::test_a_strike_at_every_197th_moment_on_redis_breaks_no_law",),
        ledger=True,
    ),
    Mutant(
        "a server keeps no headers",
        "brokers/_redis_rows.py",
        "    if given.headers:\n",
        "    if False:\n",
        "conservation",
        ("test_conformance_redis.py::TestRedisBroker::test_headers_travel_with_the_task",),
    ),
    Mutant(
        "who shares a lane on a server shares its headers",
        "brokers/_redis_rows.py",
        """\
        return json.dumps((*values, dict(given.headers)))
    text""",
        """\
        _written[values] = json.dumps((*values, dict(given.headers)))
    text""",
        "conservation",
        ("test_conformance_redis.py::TestRedisBroker::test_headers_travel_with_the_task",),
    ),
)
