"""An audit of a queue on Redis: every key is what the tasks say, and no key is without a reason.

It reads the server with a client of its own, and walks all there is; the scripts only ever look at
what they need.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Final

from tests.redis_keys import OPEN, US, Keys, Record, Scores, read_keys
from tests.redis_server import Redis

#: How long ended tasks are known at least, in microseconds.
_DAY: Final = 86_400_000_000
#: Bytes of a payload that is kept in the record.
_SHORT: Final = 512
_ORDERS: Final = 2**44
_ENDED: Final = ("succeeded", "cancelled", "expired", "purged")


def audit(server: Redis, name: str, *, retention: float = 86_400.0) -> Keys:
    """Look at everything. Raises `AssertionError` that names all that is wrong.

    Not to be called while a script may run. ``retention``: what the openings were opened with.
    """
    keys = read_keys(server, name)
    wrongs = [
        *_records(keys),
        *_places(keys),
        *_scheduled_ends(keys, round(retention * 1e6)),
        *_numbers(keys),
        *_counters(keys),
        *_dedup(keys),
        *_payloads(keys),
        *_waiters(keys),
        *_lives(keys),
        *_alarm(keys),
    ]
    assert not wrongs, "\n".join([f"queue {name!r} on the server:", *wrongs])
    return keys


# --- one task -------------------------------------------------------------------------------------


def _records(keys: Keys) -> Iterator[str]:
    counter = int(keys.meta.get("counter", 0))
    numbers = Counter(record.seq for record in keys.tasks.values())
    for task_id, record in keys.tasks.items():
        wrongs = list(_record(record, counter))
        if numbers[record.seq] > 1:
            wrongs.append("its number is another's too")
        for wrong in wrongs:
            yield f"task {task_id!r}: {wrong}: {record}"
    if keys.tasks and keys.meta.get("version") != "1":
        yield f"the version is {keys.meta.get('version')}"


def _record(record: Record, counter: int) -> Iterator[str]:
    """What is noted of a task goes with its state."""
    ended = not record.is_open
    if not 1 <= record.seq <= counter:
        yield f"its number is not within the counter, {counter}"
    if not 0 <= record.priority <= 255:
        yield "no such priority"
    if (record.ended_at is not False) != ended or isinstance(record.outcome, str) != ended:
        yield "an end is noted of an open task, or none of an ended one"
    if ended and record.waiters:
        yield "it has ended, and somebody waits for it still"
    if record.state == "dead" and record.asked:
        yield "a replay would be cancelled at once"
    if record.state == "running" and not (record.holder and record.fence):
        yield "it runs, and nobody holds it"
    if record.has_result and (record.state != "succeeded" or record.unstored):
        yield "a result that is not to be there"
    if record.history[:1] not in "se" or len(record.history) > 2_100:
        yield "its history has no beginning, or no end"
    if isinstance(record.numbers, str):
        failures, losses, interruptions, snoozes, errors = record.numbers.split(" ", 4)
        if min(int(failures), int(losses), int(interruptions), int(snoozes)) < 0:
            yield "a negative number"
        if errors and not json.loads(errors):
            yield "an empty list of errors"
    if record.state == "running" and (
        f".{record.fence}.{record.holder}" not in record.history.rpartition("T")[2]
    ):
        yield "who runs it is not who started it last"


# --- where tasks stand ----------------------------------------------------------------------------


def _places(keys: Keys) -> Iterator[str]:
    """Each task stands where its state says, and nowhere else."""
    stands: dict[str, list[str]] = {task_id: [] for task_id in keys.tasks}
    for where, members in _all_sets(keys):
        for member, score in members.items():
            if member not in stands:
                yield f"{where} has {member!r}, which is no task"
                continue
            stands[member].append(where)
            if not score.is_integer() or not 0 <= score < 2**53:
                yield f"{where} has {member!r} at {score}, which is no exact number"
    for task_id, where in stands.items():
        record = keys.tasks[task_id]
        if where != [wanted := _place_of(record)]:
            yield f"task {task_id!r} is {record.state}, and stands in {where}, not in {wanted}"
    yield from _ready_scores(keys)
    letters = list(keys.sorted.get("x", {}).values())
    if len(set(letters)) < len(letters) or max(letters, default=0) > int(
        keys.meta.get("counter", 0)
    ):
        yield "dead letters died at the same time, or later than now"


def _all_sets(keys: Keys) -> Iterator[tuple[str, Scores]]:
    for letter in "dlxo":
        yield letter, keys.sorted.get(letter, {})
    for lane, members in keys.ready.items():
        yield f"r:{lane}", members


def _place_of(record: Record) -> str:
    match record.state:
        case "scheduled":
            return "d"
        case "ready":
            return f"r:{record.lane}"
        case "running":
            return "l"
        case "dead":
            return "x"
        case _:
            return "o"


def _ready_scores(keys: Keys) -> Iterator[str]:
    counter = int(keys.meta.get("counter", 0))
    taken: set[float] = set()
    for members in keys.ready.values():
        for task_id, score in members.items():
            record = keys.tasks.get(task_id)
            if record is None:
                continue
            base = (255 - record.priority) * 2 * _ORDERS
            behind = 0 < score - base - _ORDERS <= counter
            if not behind and score != base + record.seq:
                yield f"ready task {task_id!r} stands at {score}: {record}"
            if score in taken:
                yield f"two tasks are ready at {score}"
            taken.add(score)


def _scheduled_ends(keys: Keys, retention: int) -> Iterator[str]:
    """What expires, and whose results are dropped."""
    expiring, kept = keys.sorted.get("e", {}), keys.sorted.get("k", {})
    ended = keys.sorted.get("o", {})
    for task_id, record in keys.tasks.items():
        expires = json.loads(record.options)[1]
        waits = expires is not None and record.is_open and not record.fence
        at = record.accepted + ceil(expires * 1e6) if waits else None
        if expiring.get(task_id) != at:
            yield f"task {task_id!r} expires at {expiring.get(task_id)}, not at {at}"
        forgotten = int(record.ended_at) + max(retention, _DAY)
        if record.state in _ENDED and ended.get(task_id) != forgotten:
            yield f"task {task_id!r} is forgotten at {forgotten}, noted for {ended.get(task_id)}"
        stored = record.has_result and retention < _DAY
        if kept.get(task_id) != (record.ended_at + retention if stored else None):
            yield f"the result of {task_id!r} is noted for {kept.get(task_id)}: {record}"
    for letter, members in (("e", expiring), ("k", kept)):
        for task_id in members.keys() - keys.tasks.keys():
            yield f"{letter} has {task_id!r}, which is no task"


# --- numbers --------------------------------------------------------------------------------------


def _numbers(keys: Keys) -> Iterator[str]:
    """Numbers of lanes and types are those of a walk."""
    wanted: Counter[str] = Counter()
    for record in keys.tasks.values():
        if record.state == "scheduled":
            wanted[f"s{US}{record.lane}"] += 1
        elif record.state == "running":
            wanted[f"u{US}{record.lane}"] += 1
            wanted[f"t{US}{record.type}"] += 1
    found = {name: int(number) for name, number in keys.hashes.get("n", {}).items()}
    if found != wanted:
        yield f"the numbers are {found}, and should be {dict(wanted)}"
    lanes = {record.lane for record in keys.tasks.values() if record.is_open}
    if (told := keys.sets.get("ln", set())) != lanes:
        yield f"the lanes are {told}, and should be {lanes}"
    ready = {record.lane for record in keys.tasks.values() if record.state == "ready"}
    if (told := keys.sets.get("rl", set())) != ready:
        yield f"the ready lanes are {told}, and should be {ready}"


def _counters(keys: Keys) -> Iterator[str]:
    """What has happened adds up to what there is."""
    n = Counter(
        {
            name.removeprefix("n:"): int(number)
            for name, number in keys.meta.items()
            if name.startswith("n:")
        }
    )
    states = Counter(record.state for record in keys.tasks.values())
    submitted = n["submitted"] + n["delayed"]
    there = sum(states[state] for state in OPEN)
    ends = n["succeeded"] + n["died"] + n["cancelled"] + n["expired"] + n["evicted"]
    if submitted + n["replayed"] - ends != there:
        yield f"{there} tasks are open, by the counters {submitted + n['replayed'] - ends}"
    if n["died"] - n["replayed"] - n["purged"] != states["dead"]:
        yield f"{states['dead']} are dead, by the counters not: {n}"
    if n["evicted"]:
        yield f"{n['evicted']} tasks have vanished"
    if submitted < len(keys.tasks):
        yield f"{len(keys.tasks)} tasks are known, and {submitted} were accepted"
    for state in _ENDED:
        if states[state] > n[state]:
            yield f"{states[state]} have {state}, by the counters {n[state]}"
    # Who ended as cancelled had started, or not: the counters do not say.
    ended = sum(n[move] for move in ("succeeded", "died", "retried", "snoozed", "released", "lost"))
    rest = n["started"] - ended - states["running"]
    if not 0 <= rest <= n["cancelled"]:
        yield f"{n['started']} starts, {ended} ends, {states['running']} run: {n}"
    if min(n.values(), default=0) < 0:
        yield f"a negative counter: {n}"


# --- keys that go with tasks ----------------------------------------------------------------------


def _dedup(keys: Keys) -> Iterator[str]:
    wanted = {
        f"{record.queue}{US}{record.key}": task_id
        for task_id, record in keys.tasks.items()
        if record.is_open and record.key is not False
    }
    if keys.holders != wanted:
        yield f"keys are held by {keys.holders}, and should be by {wanted}"


def _payloads(keys: Keys) -> Iterator[str]:
    wanted = {
        task_id
        for task_id, record in keys.tasks.items()
        if not record.has_payload and (record.is_open or record.state == "dead")
    }
    if keys.payloads.keys() != wanted:
        yield f"there are payloads of {keys.payloads.keys()}, and should be of {wanted}"
    for task_id, payload in keys.payloads.items():
        if len(payload) <= _SHORT:
            yield f"the payload of {task_id!r} is short, and has a key of its own"
    for task_id, record in keys.tasks.items():
        if record.has_payload and not (record.is_open or record.state == "dead"):
            yield f"task {task_id!r} has ended, and has a payload still"


def _waiters(keys: Keys) -> Iterator[str]:
    """Who waits for ready tasks stands where it says, and workers are listed twice."""
    told: dict[str, set[str]] = {}
    for who, stands in keys.hashes.get("iw", {}).items():
        for stand in stands.split("\x1e"):
            told.setdefault(stand, set()).add(who)
    if told != keys.stands:
        yield f"who waits says that it does in {told}, and stands in {keys.stands}"
    workers: Mapping[str, object] = keys.hashes.get("w", {})
    if workers.keys() != keys.sorted.get("ws", {}).keys():
        yield f"the workers are {workers.keys()}, or {keys.sorted.get('ws', {}).keys()}"


def _lives(keys: Keys) -> Iterator[str]:
    """Guards go by themselves; nothing else does."""
    for key in keys.unknown:
        yield f"a key of no known kind: {key!r}"
    for guard in keys.guards:
        if not keys.lives.pop(guard, 0):
            yield f"guard {guard!r} stays for ever"
    if keys.lives:
        yield f"these go by themselves: {keys.lives}"


def _alarm(keys: Keys) -> Iterator[str]:
    """Nothing comes before the alarm by which the scripts look at what time has brought about."""
    firsts = {
        letter: min(keys.sorted[letter].values()) for letter in "edlok" if keys.sorted.get(letter)
    }
    alarm = int(keys.meta.get("alarm", 0))
    for letter, first in firsts.items():
        if first < alarm:
            yield f"the alarm is at {alarm}, and {letter} has something at {first}"
