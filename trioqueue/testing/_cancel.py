"""Cancelling everything, everywhere: one play of a scenario for each moment and each target."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import trio

from ._errors import describe, is_expected
from ._play import Ended, Place, Scenario, place_of, play
from ._stage import KINDS, Stage

#: How many failures are described: the first tells, and the others show whether it is one place.
_SHOWN: Final = 5


class Moment(NamedTuple):
    """A point of a play at which something can be struck: before a step, or after a pass's last."""

    step: int
    after: bool
    place: Place
    targets: tuple[str, ...]


class Failure(NamedTuple):
    """One play that broke a law, hung, or crashed."""

    seed: int | str
    moment: Moment
    target: str
    what: str

    def __str__(self) -> str:
        when = "after" if self.moment.after else "before"
        return (
            f"struck {self.target!r} {when} step {self.moment.step} "
            f"({self.moment.place}), seed {self.seed!r}:\n    {self.what}"
        )


@dataclass
class CancelReport:
    """What was done: the steps of the scenario in all schedules, the plays, the strikes by kind."""

    scenario: str
    seeds: int = 0
    steps: int = 0
    plays: int = 0
    strikes: dict[str, int] = field(default_factory=dict[str, int])  # by kind
    failures: list[Failure] = field(default_factory=list[Failure])

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.strikes.items()))
        counts = f"{self.steps} steps, {self.seeds} schedule(s), {self.plays} plays"
        return f"{self.scenario}: {counts} ({kinds})"


class NotDeterministic(Exception):
    """The scenario is not the same each time, so that no step of it can be found again.

    Look for a real clock, threads, unseeded randomness, the order of a set, or state that is kept
    from one play to the next.
    """


class BrokenEverywhere(AssertionError):
    """A scenario broke when something was cancelled in it. ``report`` has all of it."""

    def __init__(self, report: CancelReport) -> None:
        self.report = report
        shown = [f"  {failure}" for failure in report.failures[:_SHOWN]]
        head = f"{len(report.failures)} of {report.plays} plays broke: {report}"
        super().__init__("\n".join([head, *shown]))


def cancel_everywhere(
    scenario: Scenario,
    *,
    kinds: Collection[str] = KINDS,
    seeds: Iterable[int | str] = (0,),
    every: int = 1,
    stop_after: int = _SHOWN,
) -> CancelReport:
    """Play ``scenario`` once for each scheduling step and each target, striking exactly there. ::

        async def scenario():
            async with open_test_queue(tasks, workers=2) as queue:
                with target("submitter"):
                    for name in ("a.png", "b.png"):
                        await queue.submit(resize, name)

        def test_resizing_survives_any_cancellation():
            cancel_everywhere(scenario)

    Struck are: the scope round each `open_test_queue`, each worker, each open task, each block
    marked by `target`, and the queue itself (a shutdown, a close, a lost lease); ``kinds`` chooses,
    see ``KINDS``. After each play the laws are checked, by `open_test_queue`. A play fails too when
    it hangs, spins, or lets out anything but trioqueue's own errors (that a task was handed back is
    what one expects); assert in it only what is true in spite of a cancellation.

    ``seeds``: the schedules. ``every``: only every so many-th strike, in turn over the targets.
    Raises `BrokenEverywhere` naming step, Trio task and line; `NotDeterministic`, if two
    undisturbed plays differ; and what the undisturbed play itself raises. Takes about 2 ms a play.
    """
    report = CancelReport(getattr(scenario, "__qualname__", repr(scenario)))
    for seed in seeds:
        report.seeds += 1
        moments = _rehearse(scenario, seed)
        steps = moments[-1].step if moments else 0
        report.steps += steps
        for number, (moment, target) in enumerate(_strikes(moments, kinds)):
            if number % every:
                continue
            _strike(scenario, seed, moment, target, steps, report)
            if len(report.failures) >= stop_after:
                raise BrokenEverywhere(report)
    if report.failures:
        raise BrokenEverywhere(report)
    return report


def _strikes(moments: Iterable[Moment], kinds: Collection[str]) -> Iterator[tuple[Moment, str]]:
    for moment in moments:
        for target in moment.targets:
            if target.partition(" ")[0] in kinds:
                yield moment, target


def _strike(
    scenario: Scenario,
    seed: int | str,
    moment: Moment,
    target: str,
    steps: int,
    report: CancelReport,
) -> None:
    stage = Stage()
    striker = _Striker(stage, moment, target)
    ended = play(scenario, seed=seed, stage=stage, instruments=[striker], steps=steps)
    report.plays += 1
    kind = target.partition(" ")[0]
    report.strikes[kind] = report.strikes.get(kind, 0) + 1
    what = striker.error or _wrong(ended)
    if what:
        report.failures.append(Failure(seed, moment, target, what))


def _rehearse(scenario: Scenario, seed: int | str) -> list[Moment]:
    """The moments of the undisturbed play, of which there must be only one."""
    first, second = (_record(scenario, seed) for _ in range(2))
    for one, other in zip(first, second, strict=False):
        if one != other:
            msg = f"two plays of seed {seed!r} differ at step {one.step}: {one} and {other}"
            raise NotDeterministic(msg)
    if len(first) != len(second):
        msg = f"two plays of seed {seed!r} have {len(first)} and {len(second)} moments"
        raise NotDeterministic(msg)
    return first


def _record(scenario: Scenario, seed: int | str) -> list[Moment]:
    recorder = _Recorder(Stage())
    ended = play(scenario, seed=seed, stage=recorder.stage, instruments=[recorder])
    if ended.hung:
        msg = f"the undisturbed scenario does not end: {ended.hung}"
        raise AssertionError(msg) from ended.error
    if ended.error is not None:
        raise ended.error
    return recorder.moments


def _wrong(ended: Ended) -> str:
    """What is wrong with the end of a disturbed play; nothing if it is."""
    if ended.hung:
        return ended.hung
    if ended.error is None or is_expected(ended.error):
        return ""
    return describe(ended.error)


class _Recorder(trio.abc.Instrument):
    """Writes down all moments of a play, and what could be struck at each."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.moments: list[Moment] = []
        self._step = 0
        self._place: Place | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._step += 1
        self._place = place_of(task)
        self._add(after=False)

    def before_io_wait(self, timeout: float) -> None:
        # What a pass's last step leads to is a batch of its own, so "after it" is not "before the
        # next one". Of all other steps it is.
        if self._place is not None:
            self._add(after=True)
            self._place = None

    def _add(self, *, after: bool) -> None:
        targets = tuple(self.stage.targets())
        if targets and self._place is not None:
            self.moments.append(Moment(self._step, after, self._place, targets))


class _Striker(trio.abc.Instrument):
    """Strikes one target at one moment."""

    def __init__(self, stage: Stage, moment: Moment, target: str) -> None:
        self._stage = stage
        self._moment = moment
        self._target = target
        self._step = 0
        self.error = ""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._step += 1
        if self._step == self._moment.step and not self._moment.after:
            self._strike(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._step == self._moment.step and self._moment.after:
            self._strike(task)

    def _strike(self, task: trio.lowlevel.Task) -> None:
        if task.name != self._moment.place.task:
            self.error = f"not deterministic: {task.name} runs here, and not the task above"
            return
        try:
            self._stage.targets()[self._target]()
        except Exception as error:  # Trio would only log it
            self.error = f"the strike itself failed: {type(error).__name__}: {error}"
