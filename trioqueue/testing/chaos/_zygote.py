"""The process that `crash_everywhere` starts once: it forks one process for each play.

It imports what is needed, has no threads, and talks to its parent by lines of JSON: a play in, how
its process ended out. What the play has to tell is in files of the play's own directory.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio

from . import _records as r
from ._check import check
from ._excuses import Terms, count_excuses
from ._final import look, store_check
from ._fork import end_of, fork
from ._site import Opener, Scene, Site, Strike
from ._story import Story
from ._witness import boottime, open_witness, read_records

#: Seconds after which a play counts as hung.
HUNG: Final = 120
#: The judge comes so many leases later: after all that a scenario may have let pass.
_AFTERWARDS: Final = 100
#: The process names: the one that is struck, and the one that looks after it.
PLAYER, JUDGE = "player", "judge"


class Play(NamedTuple):
    """An order to the zygote. ``judge``: reopen, drain and check; else: play the scenario."""

    directory: str
    lease: float
    strike: Strike | None = None
    judge: bool = False
    status: int = 0  # of the process that is judged


class Parts(NamedTuple):
    """What is played."""

    scenario: Scene
    drain: Scene
    opener: Opener


def find(reference: str) -> Any:
    """The object of ``module:qualname``."""
    module, _, name = reference.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def perform(play: Play, parts: Parts) -> None:
    """What the forked process does."""
    if play.judge:
        _judge(play, parts)
    else:
        _act(play, parts)


def _act(play: Play, parts: Parts) -> None:
    """Play the scenario, until the strike."""
    with _site(play, parts, PLAYER) as site:
        trio.run(parts.scenario, site)
        _write(Path(play.directory, "passages"), dict(site.probe.passages))


def _judge(play: Play, parts: Parts) -> None:
    """Reopen after all leases have run out, drain, and check."""
    with _site(play, parts, JUDGE) as site:
        site.witness.write(r.Died(boottime(), PLAYER, play.status))
        trio.run(parts.drain, site)
        _write(Path(play.directory, "verdict"), trio.run(_verdict, site, _record(play)))


def _record(play: Play) -> Path:
    return Path(play.directory, "witness")


@contextmanager
def _site(play: Play, parts: Parts, process: str) -> Generator[Site]:
    ahead = _AFTERWARDS * play.lease if play.judge else 0.0
    with open_witness(_record(play), process) as pen:
        yield Site(
            Path(play.directory),
            pen.file,
            process,
            parts.opener,
            play.lease,
            play.strike,
            ahead,
        )


async def _verdict(site: Site, record: Path) -> dict[str, Any]:
    ids = {each.id for each in read_records(record) if isinstance(each, r.Submitting)}
    async with site.open_broker() as broker:
        final = await look(broker, sorted(ids), integrity=store_check(site.path))
    records = read_records(record)
    terms = Terms(site.lease, margin=site.lease)
    return {
        "violations": [str(violation) for violation in check(records, final, terms)],
        "excuses": count_excuses(Story(records), terms),
        "tasks": len(final.tasks),
    }


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def main(references: list[str]) -> None:
    """Serve until there are no more orders."""
    parts = Parts(*map(find, references))
    for line in sys.stdin:
        play = Play(*json.loads(line))
        play = play._replace(strike=play.strike and Strike(*play.strike))
        output = Path(play.directory) / "output"
        print(end_of(fork(partial(perform, play, parts), output, limit=HUNG)), flush=True)
