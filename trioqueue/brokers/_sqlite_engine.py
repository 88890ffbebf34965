"""The one connection of a SQLite broker: group commits, looks, and those who wait.

Used by one thread at a time. Nothing in here waits: a lock that somebody else holds is an answer.
No Trio runs where this does, so that a BaseException is never Cancelled, and each has to be told to
whoever handed in the job.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, cast, final

import apsw

from .._errors import BrokerFailed, BrokerUnavailable, TrioqueueError
from ._sqlite_db import Database
from ._sqlite_errors import is_busy, translate
from ._sqlite_jobs import READY, SETTLED, Job, Probe, Wait
from ._sqlite_look import Look, ended_since
from ._sqlite_path import identify
from ._sqlite_schema import VERSION, check_ours, migrate, of_schema
from ._sqlite_tend import Alarms, end_other_boots, next_alarms, tend
from ._sqlite_tx import Setting, Tx

#: Bytes of write-ahead log that stay on the disk once they have been copied into the database.
_WAL_KEPT: Final = 16 * 2**20
#: Statements kept prepared: more than there are.
_STATEMENTS: Final = 200


@final
class Engine:
    """See the module. ``tell`` makes the function that tells of what `tend` did.

    ``name`` is how errors speak of the file.
    """

    def __init__(
        self,
        path: str,
        setting: Setting,
        synchronous: str,
        probe: Probe | None,
        tell: Callable[[Any], object],
    ) -> None:
        self.path = os.path.realpath(path)
        self.name = f"the broker's file {path!r}"
        self.setting = setting
        self.probe = probe
        self.alarms = Alarms(float("inf"), float("inf"))
        self.failed: str | None = None
        self._synchronous = synchronous
        self._tell = tell
        self._db: Database | None = None
        self._execute: Any = None
        self._file: tuple[int, int] | None = None  # which one was opened
        self._version = 0  # of the data, as far as others have changed them
        self._counter = 0  # at the last look at what others did
        self._settled: dict[str, list[Wait]] = {}
        self._others: dict[Wait, None] = {}  # for something ready, or for the end of all

    # --- opening and closing ----------------------------------------------------------------------

    def open(self, *, create: bool) -> bool:
        """Open the file, and bring it up to date. ``False``: somebody else holds a lock.

        Raises `BrokerFailed`, `BrokerUnavailable`.
        """
        try:
            self._open(create=create)
        except BaseException as error:
            self.close()
            if is_busy(error):
                return False  # noqa: ASYNC104
            ours = translate(error, self.name)
            if ours is error:
                raise
            raise ours from error  # noqa: ASYNC104
        return True

    def _open(self, *, create: bool) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
        db = cast("Database", apsw.Connection(self.path, flags, statementcachesize=_STATEMENTS))
        self._db = db
        db.set_busy_timeout(0)
        check_ours(db, self.name)  # before anything is changed
        if db.pragma("journal_mode", "wal") != "wal":
            msg = f"{self.name} cannot have a write-ahead log, which its file system must support"
            raise BrokerFailed(msg)
        db.pragma("synchronous", self._synchronous)
        db.pragma("journal_size_limit", _WAL_KEPT)
        db.pragma("temp_store", "memory")
        # Writing is tried at once: SQLite opens what it may only read without a word.
        db.execute("BEGIN IMMEDIATE")
        migrate(db, self.name)
        end_other_boots(db, self.setting.clocks.boot)
        db.execute("COMMIT")
        self._file = identify(self.path)
        self._execute = db.cursor().execute
        self._version = self._execute("PRAGMA data_version").fetchall()[0][0]
        self.alarms = next_alarms(self._execute, self.setting)

    def close(self) -> None:
        """Close the file. The last one to do so copies the log into the database."""
        if self._db is not None:
            with suppress(apsw.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            with suppress(apsw.Error):
                self._db.close(True)
            self._db = self._execute = None

    def check_file(self) -> None:
        """Raises `BrokerFailed` if the file is not the one that was opened, now and for ever.

        `BrokerUnavailable`, if that cannot be told.
        """
        if self.failed is None:
            try:
                found = identify(self.path)
            except OSError as error:
                msg = f"{self.name} cannot be looked at ({error.strerror}): look at its folder"
                raise BrokerUnavailable(msg) from error
            if found is None or found != self._file:
                self.failed = (
                    f"{self.name} was deleted or replaced while it was open: nothing that is "
                    "written now would be found again; put it back and start anew"
                )
        if self.failed is not None:
            raise BrokerFailed(self.failed)

    # --- writing ----------------------------------------------------------------------------------

    def begin(self) -> bool:
        """Take the write lock. ``False``: somebody else has it. Raises ours."""
        self.check_file()
        try:
            self._execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            if is_busy(error):
                return False
            raise translate(error, self.name) from error
        self._check_schema()
        return True

    def _check_schema(self) -> None:
        """A newer program may have brought the file up to date while it was open here."""
        found = self._execute("PRAGMA user_version").fetchall()[0][0]
        if found != VERSION:
            self._undo()
            raise BrokerFailed(of_schema(self.name, found))

    def commit(self, jobs: list[Job]) -> list[Job] | None:
        """Run jobs in the transaction that was begun. Returns what is done: they, and waits.

        ``None``: one of them failed and everything was undone; do each alone.
        """
        assert self._db is not None
        try:
            tx = Tx(self._db, self.setting)
            jobs = self._tend_first(jobs)
            self._point(jobs, "begun")
            for job in jobs:
                job.error = None  # of a try in a group that was undone
                try:
                    job.raw = job.run(tx)
                except TrioqueueError as error:  # it has written nothing
                    job.error = error
            tx.write_numbers()
            self._point(jobs, "before-commit")
            self._execute("COMMIT")
        except BaseException as error:  # noqa: ASYNC103
            self._undo()
            if len(jobs) == 1:
                jobs[0].error = translate(error, self.name)
                return jobs  # noqa: ASYNC104
            return None  # noqa: ASYNC104
        self._point(jobs, "after-commit")
        try:
            return jobs + self._after(tx, tended=any(job.verb == "tend" for job in jobs))
        except apsw.Error:
            # It is done, and must be told. What comes next is looked up again soon.
            self.alarms = Alarms(tx.now + 1.0, tx.lease_now + 1.0)
            return jobs

    def rings(self) -> bool:
        """Whether it is time to do what time has brought about, without being asked to.

        A little late for leases: a process that was asleep may settle what it had finished.
        """
        return self.alarms.passed(self.setting, self.setting.margin)

    def until_alarm(self) -> float:
        """Seconds until it rings."""
        return self.alarms.wait(self.setting, self.setting.margin)

    def _tend_first(self, jobs: list[Job]) -> list[Job]:
        """With what time has brought about done first, if anything has."""
        if any(job.verb == "claim" for job in jobs):
            # Others may have set alarms since, and a claim must not miss what is due.
            self.alarms = next_alarms(self._execute, self.setting)
            passed = self.alarms.passed(self.setting)
        else:
            passed = self.rings()
        if not passed or (jobs and jobs[0].alone):
            return jobs
        # But for what shows that a lease is alive: it may have expired, it was not revoked yet.
        living = [job for job in jobs if job.verb in {"settle", "renew"}]
        others = [job for job in jobs if job.verb not in {"settle", "renew"}]
        return [*living, Job("tend", tend, self._tell), *others]

    def _undo(self) -> None:
        assert self._db is not None
        with suppress(apsw.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _after(self, tx: Tx, *, tended: bool) -> list[Job]:
        """Set the alarms anew; returns the waits that have come to an end."""
        if tended:
            self.alarms = next_alarms(self._execute, self.setting)
        else:
            due = tx.next_due
            if tx.ended:
                due = min(due, tx.now + self.setting.retention)
            self.alarms = self.alarms.sooner(due, tx.next_lease)
        return self._look_again(self._concerned(tx))

    def _point(self, jobs: Iterable[Job], stage: str) -> None:
        if self.probe is not None:
            for job in jobs:
                self.probe(f"{job.verb}:{stage}")

    # --- looking ----------------------------------------------------------------------------------

    def look(self, jobs: Iterable[Job]) -> None:
        """Do jobs that only read. A lock of somebody else is an error of theirs: it is rare."""
        assert self._db is not None
        try:
            self.check_file()
            self._execute("BEGIN")
            look = Look(self._db, self.setting)
            for job in jobs:
                try:
                    job.raw = job.run(look)
                except BaseException as error:  # noqa: ASYNC103
                    job.error = translate(error, self.name)
            self._execute("COMMIT")
        except BaseException as error:  # noqa: ASYNC103
            self._undo()
            for job in jobs:
                job.error = translate(error, self.name)

    # --- waiting ----------------------------------------------------------------------------------

    @property
    def waited_for(self) -> bool:
        """Whether anybody waits for what others may bring about."""
        return bool(self._settled or self._others)

    def wait(self, waits: Sequence[Wait]) -> list[Job]:
        """Look for those who have begun to wait; returns those who need not, and keeps the rest."""
        for wait in waits:
            if wait.kind == SETTLED:
                self._settled.setdefault(wait.about, []).append(wait)
            else:
                self._others[wait] = None
        return self._look_again(waits)

    def forget(self, wait: Wait) -> None:
        """Nobody waits any more."""
        if wait.kind == SETTLED:
            waits = self._settled.get(wait.about, [])
            if wait in waits:
                waits.remove(wait)
                if not waits:
                    del self._settled[wait.about]
        else:
            self._others.pop(wait, None)

    def all_waits(self) -> list[Wait]:
        """Everybody who waits."""
        return [wait for waits in self._settled.values() for wait in waits] + list(self._others)

    def _concerned(self, tx: Tx) -> list[Wait]:
        """Those for whom a transaction of ours may have brought the end."""
        found: list[Wait] = []
        if self._settled:
            for task_id in tx.ended:
                found += self._settled.get(task_id, ())
        if self._others:
            drained = tx.operated or tx.emptied or (tx.more_waits and self._is_anything_paused())
            ready = tx.operated or tx.made_ready
            for wait in self._others:
                if (ready or (wait.slots and tx.freed)) if wait.kind == READY else drained:
                    found.append(wait)
        return found

    def _is_anything_paused(self) -> bool:
        """So that a task that waits now may wait for good."""
        sql = "SELECT 1 FROM paused UNION ALL SELECT 1 FROM meta WHERE paused LIMIT 1"
        return bool(self._execute(sql).fetchall())

    def _look_again(self, waits: Sequence[Wait]) -> list[Job]:
        if not waits:
            return []
        jobs = [wait.job for wait in waits]
        self.look(jobs)
        done = [wait for wait in waits if wait.job.error is not None or wait.job.raw is not None]
        for wait in done:
            self.forget(wait)
        return [wait.job for wait in done]

    def changed_outside(self) -> bool:
        """Whether another connection has committed anything since the last call."""
        version: int = self._execute("PRAGMA data_version").fetchall()[0][0]
        changed = version != self._version
        self._version = version
        return changed

    def look_outside(self) -> list[Job]:
        """After others have changed something: who need not wait any more, and new alarms."""
        self.alarms = next_alarms(self._execute, self.setting)
        waits = list(self._others)
        if self._settled:
            assert self._db is not None
            counter = self._execute("SELECT counter FROM meta").fetchall()[0][0]
            if counter - self._counter < len(self._settled):
                ended = ended_since(Look(self._db, self.setting), self._counter)
                waits += [wait for task_id in ended for wait in self._settled.get(task_id, ())]
            else:
                waits += [wait for group in self._settled.values() for wait in group]
            self._counter = counter
        return self._look_again(waits)

    def as_ours(self, error: BaseException) -> BaseException:
        """An error as one of ours, where it is SQLite's."""
        return translate(error, self.name)

    def asked_for(self) -> list[tuple[int, int]]:
        """(seq, token) of all running tasks whose cancellation is requested."""
        sql = "SELECT seq, deliveries FROM tasks WHERE state = 2 AND cancel_requested = 1"
        return [(seq, token) for seq, token in self._execute(sql).fetchall()]
