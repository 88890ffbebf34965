"""The conformance suite: what every broker promises, as cases that anybody can run on their own.

Derive a class from `BrokerConformance` in a test module; pytest collects its cases::

    from trioqueue.testing.conformance import REMOTE_BROKER, BrokerConformance

    class TestMyBroker(BrokerConformance, has=REMOTE_BROKER):
        @pytest.fixture(autouse=True)
        def store(self, tmp_path):
            self.path = tmp_path / "tasks.db"

        def open_broker(self, **options):
            return open_my_broker(self.path, lease=10, **options)

Each case opens the broker anew, in a Trio run of its own on a clock that jumps, so that nothing
really sleeps. After every case the counts must add up, and the events must lead to them.

`Has` says what a broker may have beyond the verbs; what needs more than ``has`` is not there at
all, so nothing is skipped in silence. `cases` lists the cases, `answers` is the table of what each
verb answers when it is cancelled, repeated, late, and after the task is gone.
"""

from . import _answers as _answers
from . import _answers_inspector as _answers_inspector
from . import _cancel as _cancel
from . import _cancelled as _cancelled
from . import _claim as _claim
from . import _drained as _drained
from . import _events as _events
from . import _fence as _fence
from . import _fleet as _fleet
from . import _keys as _keys
from . import _letters as _letters
from . import _local as _local
from . import _look as _look
from . import _pause as _pause
from . import _publish as _publish
from . import _ready as _ready
from . import _records as _records
from . import _renew as _renew
from . import _results as _results
from . import _run_now as _run_now
from . import _settle as _settle
from . import _settled as _settled
from . import _shared as _shared
from . import _stopping as _stopping
from . import _tombstones as _tombstones
from . import _working as _working
from ._bench import Bench as Bench
from ._case import LOCAL_BROKER as LOCAL_BROKER
from ._case import REMOTE_BROKER as REMOTE_BROKER
from ._case import Case as Case
from ._case import Has as Has
from ._case import cases as cases
from ._suite import BrokerConformance as BrokerConformance
from ._table import Answer as Answer
from ._table import answers as answers
