"""Cases of ``publish``: what is accepted, how it is kept, and when it is due or too late."""

from __future__ import annotations

import trio

from ... import InvalidTask, Move, OutcomeKind, QueueClosed, State
from ._bench import PAYLOAD, Bench, raised
from ._case import Has, case

PAYLOADS = {
    "json": PAYLOAD,
    "nothing": b"",
    "not_text": b"\xff\x00\xfe",
    "large": bytes(range(256)) * 1_000,
}
STRANGE = (
    "with space",
    "quote'\"`",
    "per%cent",
    "ключ-鍵-🔑",
    "back\\slash\nline",
    "a:b/c?d=e&f;g",
)


@case()
async def accepted_tasks_are_answered_in_order_and_ready(bench: Bench) -> None:
    answer = await bench.publish("b", "a", "c")
    assert [task.id for task in answer] == ["b", "a", "c"]
    assert [task.state for task in answer] == [State.READY] * 3
    assert await bench.states("bac") == [State.READY] * 3
    assert await bench.claimed() == ["b", "a", "c"]


@case()
async def publishing_nothing_changes_nothing(bench: Bench) -> None:
    before = await bench.counts()
    assert list(await bench.broker.publish([])) == []
    assert await bench.counts() == before


@case()
async def a_task_is_kept_as_it_was_given(bench: Bench) -> None:
    """Every option, for whoever looks and for whoever claims."""
    options = {"queue": "mail", "priority": 7, "timeout": 3.5, "expires": 60.0, "key": "k"}
    task = bench.task("1", "send", **options)
    given = task.options
    await bench.broker.publish([task])
    (lease,) = await bench.claim()
    for task in (await bench.get("1"), lease.task):
        assert (task.id, task.type, task.options) == ("1", "send", given)


@case()
async def headers_travel_with_the_task(bench: Bench) -> None:
    """Any text; to whoever looks and to every attempt; read-only; none where none were given."""
    given = {"traceparent": "00-ab-cd-01", **dict.fromkeys(STRANGE, "\0"), "empty": ""}
    await bench.publish("1", headers=given)
    await bench.publish("2")
    first, other = await bench.claim()
    await bench.end(first, Move.RETRIED)
    again = await bench.take("1")
    for task in (await bench.get("1"), first.task, again.task):
        assert task.options.headers == given
    assert [(await bench.get("2")).options.headers, other.task.options.headers] == [None, None]
    assert not hasattr(again.task.options.headers, "pop")


@case(each=PAYLOADS)
async def the_payload_arrives_as_it_was_given(bench: Bench, name: str) -> None:
    """Bytes: the broker does not look into them."""
    await bench.publish("1", payload=PAYLOADS[name])
    assert (await bench.get("1")).payload == PAYLOADS[name]
    assert (await bench.take("1")).task.payload == PAYLOADS[name]


@case()
async def names_may_be_any_text(bench: Bench) -> None:
    """Ids, types, queues and keys are told apart exactly."""
    for text in STRANGE:
        await bench.publish(text, type=text, queue=text, key=text)
    for text in STRANGE:
        (lease,) = await bench.claim(room={text: 9}, queues=[text])
        options = lease.task.options
        assert (lease.task.id, lease.task.type, options.queue, options.key) == (text,) * 4


@case()
async def a_known_id_answers_with_the_task_that_is_there(bench: Bench) -> None:
    await bench.publish("1", type="first")
    (again,) = await bench.publish("1", type="second", priority=9)
    assert (again.id, again.type, again.options.priority) == ("1", "first", 100)
    assert (await bench.counts()).submitted == 1
    assert await bench.claimed() == ["1"]


@case()
async def a_batch_may_repeat_itself(bench: Bench) -> None:
    """By id and by key: one task comes of it, and each place is answered."""
    batch = [
        bench.task("1", key="k"),
        bench.task("2", key="k"),
        bench.task("3"),
        bench.task("3"),
    ]
    answer = await bench.broker.publish(batch)
    assert [task.id for task in answer] == ["1", "1", "3", "3"]
    assert (await bench.counts()).submitted == 2
    assert await bench.claimed() == ["1", "3"]


@case()
async def a_batch_of_old_and_new_accepts_the_new(bench: Bench) -> None:
    await bench.publish("2", type="old")
    answer = await bench.publish("1", "2", "3")
    assert [(task.id, task.type) for task in answer] == [("1", "type"), ("2", "old"), ("3", "type")]
    assert (await bench.counts()).submitted == 3
    assert await bench.claimed() == ["2", "1", "3"]


@case()
async def a_large_batch_is_accepted_whole_and_in_order(bench: Bench) -> None:
    ids = [f"task {n}" for n in range(300)]
    assert [task.id for task in await bench.publish(*ids)] == ids
    assert (await bench.counts()).ready == 300
    assert await bench.claimed() == ids


@case()
async def two_publish_at_the_same_time(bench: Bench) -> None:
    """Each batch stays together, and an id that both have comes into being once."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.broker.publish, [bench.task(i) for i in ("a1", "both", "a2")])
        nursery.start_soon(bench.broker.publish, [bench.task(i) for i in ("b1", "both", "b2")])
    assert (await bench.counts()).submitted == 5
    assert await bench.claimed() in (
        ["a1", "both", "a2", "b1", "b2"],
        ["b1", "both", "b2", "a1", "a2"],
    )


# --- due later ------------------------------------------------------------------------------------


@case()
async def a_delayed_task_is_ready_when_it_is_due_and_not_before(bench: Bench) -> None:
    passed = bench.stopwatch()
    (task,) = await bench.publish("1", delay=5)
    assert task.state is State.SCHEDULED
    assert (await bench.counts()).scheduled == 1
    assert await bench.claimed() == []
    await bench.broker.wait_ready()
    assert bench.about(passed(), 5)
    assert await bench.claimed() == ["1"]


@case()
async def tasks_become_ready_in_the_order_in_which_they_are_due(bench: Bench) -> None:
    for task_id, delay in (("late", 5), ("early", 3), ("between", 4)):
        await bench.publish(task_id, delay=delay)
    await bench.sleep(6)
    await bench.publish("now")
    assert await bench.claimed() == ["early", "between", "late", "now"]


@case()
async def many_delayed_tasks_are_all_due(bench: Bench) -> None:
    ids = [f"{n}" for n in range(50)]
    await bench.publish(*ids, delay=4)
    await bench.sleep(5)
    assert sorted(await bench.claimed()) == sorted(ids)


# --- too late -------------------------------------------------------------------------------------


@case()
async def a_task_that_is_claimed_in_time_does_not_expire(bench: Bench) -> None:
    lease = await bench.running("1", expires=2)
    await bench.sleep(5)
    assert await bench.state("1") is State.RUNNING
    await bench.end(lease, Move.SUCCEEDED)


@case(each=[0, 2, 9])
async def a_task_that_is_claimed_too_late_has_expired(bench: Bench, delay: float) -> None:
    """Ready, due before it expires, or due after it: it is never claimed any more."""
    await bench.publish("1", expires=5, delay=delay, key="k")
    await bench.publish("2", delay=20)
    await bench.sleep(10)
    assert await bench.claimed() == []
    task = await bench.get("1")
    assert task.state is State.EXPIRED
    assert task.outcome is not None
    assert task.outcome.kind is OutcomeKind.EXPIRED
    assert (await bench.counts()).expired == 1
    (other,) = await bench.publish("3", key="k")
    assert other.id == "3", "its key is free"


@case()
async def an_expired_task_is_never_claimed_even_if_nobody_looked(bench: Bench) -> None:
    """The claim itself looks at the time."""
    await bench.publish("1", "2", expires=1)
    await bench.publish("3")
    await bench.sleep(1.5)
    assert await bench.claimed() == ["3"]


@case(each=[Move.RELEASED, Move.RETRIED, Move.SNOOZED])
async def a_task_that_has_started_once_does_not_expire_any_more(bench: Bench, move: Move) -> None:
    """``expires`` is the time until the first start."""
    await bench.end(await bench.running("1", expires=2), move)
    await bench.sleep(5)
    assert await bench.claimed() == ["1"]


# --- no room, no more -----------------------------------------------------------------------------


@case()
async def whoever_is_closed_meanwhile_accepts_nothing(bench: Bench) -> None:
    """``closed`` is asked in the last moment: by then a queue may be that was not before."""
    tasks = [bench.task("1"), bench.task("2")]
    await raised(QueueClosed, bench.broker.publish, tasks, lambda: True)
    assert await bench.states("12") == [None, None]
    assert (await bench.counts()).submitted == 0
    assert await bench.claimed() == []


@case()
async def whoever_is_not_closed_accepts(bench: Bench) -> None:
    asked: list[bool] = []

    def closed() -> bool:
        asked.append(True)
        return False

    await bench.broker.publish([bench.task("1")], closed)
    assert asked
    assert await bench.claimed() == ["1"]


@case(Has.LOCAL)
async def a_closed_broker_accepts_nothing(bench: Bench) -> None:
    await bench.publish("1")
    bench.local.close()
    error = await raised(QueueClosed, bench.broker.publish, [bench.task("2")])
    assert str(error)
    assert await bench.state("2") is None
    assert await bench.claimed() == ["1"], "what was accepted goes on"


@case(Has.BOUNDED, capacity=2)
async def a_full_broker_lets_a_publish_wait_until_one_ends(bench: Bench) -> None:
    lease = await bench.running("1")
    await bench.publish("2")
    async with bench.wakes(bench.broker.publish, [bench.task("3")]):
        assert (await bench.counts()).waiting_submitters == 1
        assert await bench.state("3") is None
        await bench.end(lease, Move.SUCCEEDED)
    assert await bench.claimed() == ["2", "3"]


@case(Has.BOUNDED, capacity=2)
async def a_full_broker_answers_for_what_it_knows(bench: Bench) -> None:
    await bench.publish("1", "2", key=None)
    assert [task.id for task in await bench.promptly(bench.publish, "2", "1")] == ["2", "1"]


@case(Has.BOUNDED, capacity=2)
async def more_than_there_can_be_room_for_is_refused_whole(bench: Bench) -> None:
    await raised(InvalidTask, bench.publish, "1", "2", "3")
    assert (await bench.counts()).submitted == 0
    assert await bench.claimed() == []


@case(Has.BOUNDED, capacity=1)
async def a_publish_that_waits_and_is_cancelled_accepts_nothing(bench: Bench) -> None:
    lease = await bench.running("1")
    await bench.waits(bench.broker.publish, [bench.task("2")])
    await bench.end(lease, Move.SUCCEEDED)
    assert await bench.state("2") is None
    assert (await bench.counts()).submitted == 1


@case(Has.BOUNDED, capacity=1)
async def a_close_ends_the_wait_for_room(bench: Bench) -> None:
    await bench.publish("1")
    errors: list[BaseException] = []

    async def submit() -> None:
        errors.append(await raised(QueueClosed, bench.broker.publish, [bench.task("2")]))

    async with bench.wakes(submit):
        bench.local.close()
    assert len(errors) == 1
