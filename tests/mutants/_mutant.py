"""What a mutant is, and the laws and promises that mutants stand for."""

from typing import Final, NamedTuple

from trioqueue.testing import LAWS

#: What is promised besides the laws that the ledger checks.
PROMISES: Final = (
    "life cycle",  # what leads from which state to which, and what is kept of it
    "deadlocks are told",
    "fairness",  # to the rest of the program
    "partition",  # a worker stops what it cannot prove to be its own
    "interrupts",  # Ctrl-C loses nothing, and reaches a busy handler
    "observers are guests",
    "strangers are kept out",  # of the page
    "looking costs little",
    "what is shown is so",
)
LAW_NAMES: Final = tuple(law.name for law in LAWS)


class Mutant(NamedTuple):
    """A bug, planted by one exact replacement in one file of the package.

    ``old`` occurs exactly once in ``file``. ``law``: of `LAW_NAMES` or `PROMISES`. ``tests``: what
    has to fail because of it, given to pytest. ``ledger``: it is `trioqueue.testing`'s ledger that
    has to notice, and to name the law.
    """

    name: str
    file: str
    old: str
    new: str
    law: str
    tests: tuple[str, ...]
    ledger: bool = False

    def apply(self, source: str) -> str:
        """The mutated source."""
        assert source.count(self.old) == 1, f"{self.name}: found {source.count(self.old)} times"
        return source.replace(self.old, self.new)
