"""What a broker tells of its tasks, by every verb of looking, is what the model foretells."""

from collections.abc import Iterable

from tests.broker_model import ENDED, OPEN, RETENTION, Job, Model
from tests.broker_store import AnyBroker
from trioqueue import QueuePaused, State
from trioqueue._model import Task


def compare(task: Task, job: Job, model: Model) -> None:
    """One task is what it should be, to the last counter."""
    options, trail = task.options, task.trace()
    assert (task.id, task.type, task.state) == (job.id, job.type, job.state), job
    assert (options.queue, options.priority, options.delay, options.expires, options.key) == (
        *(job.queue, job.priority, job.delay, job.expires, job.key),
    )
    assert options.headers == job.headers
    assert (task.deliveries, task.failures) == (job.deliveries, job.failures), job
    assert (trail.losses, trail.interruptions, trail.snoozes) == (
        *(job.losses, job.interruptions, job.snoozes),
    )
    assert task.accepted_at == job.accepted_at, job
    kept = job.is_open or job.state == "dead"
    assert task.payload == (job.payload if kept else None)
    assert [error.message if error.kind != "lost" else "lost" for error in trail.errors] == (
        job.errors
    )
    if job.is_open:
        assert task.outcome is None
    else:
        compare_end(task, job, model)


def compare_end(task: Task, job: Job, model: Model) -> None:
    outcome = task.outcome
    assert outcome is not None
    if job.state == "dead":
        assert task.trace().died_at == job.ended_at
    assert outcome.kind == job.end_kind
    if job.state != "succeeded":
        return
    assert (outcome.value, outcome.stored) in ((job.result, True), (None, False)), "never half"
    if model.now - job.ended_at >= RETENTION:
        assert not outcome.stored
    elif not job.aged:
        assert outcome.stored


async def look(broker: AnyBroker, model: Model, step: int) -> None:
    """Compare all that a broker tells with the model."""
    await _compare_tasks(broker, model)
    counts = await broker.counts()
    assert {name: getattr(counts, name) for name in model.counts()} == model.counts()
    assert sum(counts[1:11]) == counts.submitted, "conservation"
    assert {move: number for move, number in counts.moves.items() if number} == {
        move: number
        for move, number in model.moves.items()
        if number and move not in {"refused", "cancel_requested"}
    }
    assert [tuple(lane) for lane in await broker.lanes()] == model.lanes()
    assert await broker.paused() == (model.all_paused, sorted(model.paused))
    await _compare_letters(broker, model, step)
    jobs = list(model.jobs.values())
    if jobs:
        await _compare_one(broker, jobs[step % len(jobs)], model)
    await _compare_drained(broker, model)


async def _compare_tasks(broker: AnyBroker, model: Model) -> None:
    for state in ENDED:
        found = await broker.tasks(State(state), limit=1_000)
        known = {task.id for task in found}
        for job in model.in_state(state):
            if job.id not in known:
                model.forget(job)
        _same(found, model.in_state(state), model)
    _same(await broker.tasks(limit=1_000), model.in_state(*OPEN), model)
    for state in (*OPEN, "dead"):
        jobs = [job for job in model.in_state(state) if (job.type, job.queue) == ("x", "a")]
        found = await broker.tasks(State(state), type="x", queue="a", limit=2)
        _same(found, jobs[:2], model)
    newest = await broker.tasks(limit=2, newest=True)
    _same(newest, model.in_state(*OPEN)[: -1 - 2 : -1], model)


def _same(tasks: Iterable[Task], jobs: list[Job], model: Model) -> None:
    tasks = list(tasks)
    assert [task.id for task in tasks] == [job.id for job in jobs]
    for task, job in zip(tasks, jobs, strict=True):
        compare(task, job, model)


async def _compare_letters(broker: AnyBroker, model: Model, step: int) -> None:
    letters = await broker.dead_letters()
    ends = [model.jobs[letter.id].end for letter in letters]
    assert ends == [job.end for job in model.letters]
    for letter in letters:
        job = model.jobs[letter.id]
        assert (letter.died_at, letter.failures, letter.deliveries, letter.payload) == (
            *(job.ended_at, job.failures, job.deliveries, job.payload),
        )
    old = [job for job in model.letters if job.type == "y" and model.now - job.ended_at >= 3]
    found = await broker.dead_letters("y", older_than=3)
    assert [model.jobs[letter.id].end for letter in found] == [job.end for job in old]
    found = await broker.dead_letters(limit=2, newest=True)
    assert [model.jobs[letter.id].end for letter in found] == ends[: -1 - 2 : -1]
    lost = [job.end for job in model.letters if job.errors[-1:] == ["lost"]]
    found = await broker.dead_letters(error="LeaseLost", limit=1 + step % 3)
    assert [model.jobs[letter.id].end for letter in found] == lost[: 1 + step % 3]


async def _compare_one(broker: AnyBroker, job: Job, model: Model) -> None:
    task = await broker.get(job.id)
    assert task is not None
    compare(task, job, model)
    assert [tuple(entry) for entry in await broker.history(job.id)] == job.history
    assert await broker.get("nobody") is None


async def _compare_drained(broker: AnyBroker, model: Model) -> None:
    jobs = [job for job in model.in_state(*OPEN) if job.type == "x" and job.queue == "b"]
    waits = [job for job in jobs if job.state != "running"]
    try:
        drained = await broker.is_drained(["x"], ["b"])
    except QueuePaused:
        assert waits
        assert model.is_paused("b")
    else:
        assert drained is (not jobs)
        assert not (waits and model.is_paused("b"))
