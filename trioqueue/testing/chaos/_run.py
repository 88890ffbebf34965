"""A chaos run from its start to its verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf

import trio

from ._check import Violation, check
from ._crew import Setup, clean_up
from ._excuses import count_excuses
from ._monkey import Monkey
from ._story import Story
from ._witness import open_witness, read_records


@dataclass
class ChaosReport:
    """What was done, and what is wrong with it.

    ``mischief``: kills, stops, continuations, requests to stop, and what befell the store or the
    way to it. ``excuses``: why handlers ran again. ``unheard``: deliveries to claims whose answer
    was lost. ``wrong``: processes that did not end as they must.
    """

    mischief: Counter[str]
    excuses: Counter[str]
    accepted: int
    attempts: int
    zombies: int
    unheard: int
    states: Counter[str]
    violations: list[Violation]
    wrong: list[str]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations and not self.wrong

    def __str__(self) -> str:
        def listed(counts: Counter[str]) -> str:
            return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))

        lines = [
            f"mischief: {listed(self.mischief)}",
            f"tasks: {self.accepted} accepted; in the end {listed(self.states)}",
            f"attempts: {self.attempts}, {self.zombies} of them zombies for a while; "
            f"{self.unheard} more deliveries of which nobody heard",
            f"ran again: {self.excuses.total()} ({listed(self.excuses)})",
            f"violations: {len(self.violations)}",
            *(f"  {violation}" for violation in self.violations[:20]),
            *(f"wrong: {each}" for each in self.wrong[:5]),
        ]
        return "\n".join(lines)


def run_chaos(setup: Setup) -> ChaosReport:
    """Let a monkey loose on worker and producer processes, then drain the store and judge.

    Call it in a process without threads: it forks. ``setup.directory`` must be empty, and keeps all
    records. Raises `trio.TooSlowError` if what is left cannot be drained.
    """
    with (
        open_witness(setup.record, "monkey") as witness,
        setup.store.serve(
            setup.directory, setup.seed, setup.lease, setup.workers + setup.producers, witness
        ) as live,
    ):
        monkey = Monkey(setup, live, witness)
        monkey.run()
        final = trio.run(clean_up, setup, "clean", live.address(None))
    records = read_records(setup.record)
    story = Story(records)
    attempts = [each for task in story.tasks.values() for each in task.claims()]
    return ChaosReport(
        mischief=monkey.done,
        excuses=count_excuses(story, setup.terms),
        accepted=sum(task.accepted < inf for task in story.tasks.values()),
        attempts=sum(each.began < inf for each in attempts),
        zombies=sum(bool(each.busy) and max(each.busy) > each.expires for each in attempts),
        unheard=sum(
            task.deliveries - len(story.task(each).attempts) for each, task in final.tasks.items()
        ),
        states=Counter(str(task.state) for task in final.tasks.values()),
        violations=check(records, final, setup.terms),
        wrong=monkey.wrong,
    )
