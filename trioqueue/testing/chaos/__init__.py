"""Proofs of durable brokers by crashes: a witness outside of the processes, and a judge.

Records: `open_witness` writes them into an append-only file, `WatchedBroker` and `at_work` say what
to write, `read_records` reads what all processes wrote. Judgement: `look` asks the broker what it
says in the end, `check` names every violation of ``RULES``, and ``EXCUSES`` are why a task may run
again. Deaths: `crash_everywhere` at every point of a broker, `run_chaos` of whole processes at any
time (``python -m trioqueue.testing.chaos``). `open_proxy` plays a bad network. `Through` is for
brokers that are broken on purpose.
"""

from ._check import RULES as RULES
from ._check import Rule as Rule
from ._check import Violation as Violation
from ._check import check as check
from ._crash import BrokenByCrash as BrokenByCrash
from ._crash import CrashFailure as CrashFailure
from ._crash import CrashReport as CrashReport
from ._crash import crash_everywhere as crash_everywhere
from ._crew import Setup as Setup
from ._drain import complete as complete
from ._drain import drain_all as drain_all
from ._excuses import EXCUSES as EXCUSES
from ._excuses import Terms as Terms
from ._final import Final as Final
from ._final import FinalState as FinalState
from ._final import look as look
from ._proxy import TcpProxy as TcpProxy
from ._proxy import open_proxy as open_proxy
from ._run import ChaosReport as ChaosReport
from ._run import run_chaos as run_chaos
from ._site import Site as Site
from ._site import Strike as Strike
from ._site import open_sqlite as open_sqlite
from ._through import Through as Through
from ._watched import WatchedBroker as WatchedBroker
from ._watched import at_work as at_work
from ._watched import beating as beating
from ._witness import Witness as Witness
from ._witness import boottime as boottime
from ._witness import open_witness as open_witness
from ._witness import read_records as read_records
