"""Proofs of durable brokers by crashes: a witness outside of the process, and a judge of it.

`open_witness` writes records into an append-only file; `read_records` reads what all processes
wrote; `look` asks the broker what it says; `check` names every violation of ``RULES``.
"""

from ._check import RULES as RULES
from ._check import Rule as Rule
from ._check import Violation as Violation
from ._check import check as check
from ._excuses import EXCUSES as EXCUSES
from ._excuses import Terms as Terms
from ._final import Final as Final
from ._final import FinalState as FinalState
from ._final import look as look
from ._witness import Witness as Witness
from ._witness import boottime as boottime
from ._witness import open_witness as open_witness
from ._witness import read_records as read_records
