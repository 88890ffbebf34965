"""Brokers that break one promise each, and the cases of the conformance suite that notice."""

from . import calls, claim, fleet, operate, publish, rest, settle
from .breaking import BROKEN as BROKEN
from .breaking import Break as Break
from .remotes import BROKEN_REMOTES as BROKEN_REMOTES
from .remotes import BrokenRemote as BrokenRemote

__all__ = ["calls", "claim", "fleet", "operate", "publish", "rest", "settle"]
