"""The tables of a SQLite broker, their version, and the way from an older one to a newer.

What is counted is counted in the transaction that changes it, so that nobody ever has to walk the
tasks for a number. Every index is partial: a row stands only in those of its state, and what
happens to most tasks (accepted, claimed, done) touches as few of them as can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from .._errors import BrokerFailed
from .._model import Move
from ._sqlite_db import Database
from ._stored import STATES as STATES

#: "trio" in ASCII, in the file's header: so that nobody's own tables are taken for ours.
APPLICATION_ID: Final = 0x7472696F
#: The newest schema that this code can read and write.
VERSION: Final = 2

# The order of ``STATES`` matters to the indexes: before DEAD a task is open, after it nothing but a
# tombstone is left.
SCHEDULED, READY, RUNNING, DEAD, SUCCEEDED, CANCELLED, EXPIRED, _, PURGED, _ = range(len(STATES))

#: The moves, as columns of ``meta``.
MOVES: Final = tuple(Move)

# ``seq`` is the order of acceptance, and never used again: it comes from ``meta.counter``, as do
# ``place`` (where a task stands in its lane, see `place`) and ``finish`` (the order in which tasks
# ended, whatever the wall clock did). All other times are Unix time, but for ``lease_until`` and
# ``workers.seen``: those are on the clock that leases expire by.
_VERSION_1: Final = f"""
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    boot TEXT NOT NULL,                  -- of the lease clock; another boot: all leases are over
    counter INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,  -- of what ended before this ``finish``, no result is kept
    paused INTEGER NOT NULL DEFAULT 0,   -- everything
    refused INTEGER NOT NULL DEFAULT 0,  -- settles that came too late
    scheduled INTEGER NOT NULL DEFAULT 0,
    ready INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    {", ".join(f"n_{move} INTEGER NOT NULL DEFAULT 0" for move in MOVES)}
);
CREATE TABLE paused (queue TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE lanes (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    type TEXT NOT NULL,
    scheduled INTEGER NOT NULL DEFAULT 0,
    ready INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 0,     -- dead letters and tombstones
    UNIQUE (queue, type)
);
CREATE INDEX lanes_ready ON lanes (id) WHERE ready > 0;
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL,
    place INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,       -- the fence
    settled INTEGER NOT NULL DEFAULT 0,          -- the token of the last lease that was settled
    failures INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    snoozes INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    accepted_at REAL NOT NULL,
    lease_until REAL,
    due REAL,
    expires_at REAL,                             -- NULL from the first start on
    finish INTEGER,
    ended_at REAL,
    timeout REAL,
    expires REAL,
    delay REAL NOT NULL DEFAULT 0,
    key TEXT,
    key_queue TEXT,                              -- the queue, if there is a key
    kind TEXT,                                   -- of the outcome, once there is one
    flags INTEGER NOT NULL DEFAULT 0,            -- of the outcome: see _sqlite_rows
    duration REAL NOT NULL DEFAULT 0,
    error TEXT,                                  -- of the outcome, a JSON array
    errors TEXT,                                 -- of the last failures, a JSON array of those
    history TEXT NOT NULL,                       -- a line for each thing that happened
    result BLOB,
    payload BLOB                                 -- last: it may be long
);
CREATE INDEX tasks_ready ON tasks (lane, place) WHERE state = {READY};
CREATE INDEX tasks_due ON tasks (due) WHERE state = {SCHEDULED};
CREATE INDEX tasks_expiring ON tasks (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX tasks_leased ON tasks (lease_until) WHERE state = {RUNNING};
CREATE INDEX tasks_asked ON tasks (seq) WHERE state = {RUNNING} AND cancel_requested = 1;
CREATE UNIQUE INDEX tasks_key ON tasks (key_queue, key) WHERE key IS NOT NULL AND state < {DEAD};
CREATE INDEX tasks_dead ON tasks (finish) WHERE state = {DEAD};
CREATE INDEX tasks_ended ON tasks (finish, state) WHERE state > {DEAD};
CREATE TABLE workers (
    id TEXT PRIMARY KEY,
    record TEXT NOT NULL,        -- a JSON object: a WorkerRecord, but for ``seen`` and ``live``
    seen REAL NOT NULL,
    lease REAL NOT NULL,
    live INTEGER NOT NULL
) WITHOUT ROWID;
"""


def _create(db: Database) -> None:
    db.execute(_VERSION_1)
    db.execute("INSERT INTO meta (one, boot) VALUES (1, '')")
    db.pragma("application_id", APPLICATION_ID)


def _add_headers(db: Database) -> None:
    """A JSON object, or NULL. (Its place after the payload costs nothing while it is NULL.)"""
    db.execute("ALTER TABLE tasks ADD COLUMN headers TEXT")


#: {version: how to get there from the one before}. A release adds a step and changes none.
MIGRATIONS: Final[Mapping[int, Callable[[Database], None]]] = MappingProxyType(
    {1: _create, 2: _add_headers}
)


def migrate(
    db: Database,
    name: str,
    migrations: Mapping[int, Callable[[Database], None]] = MIGRATIONS,
) -> None:
    """Bring the schema up to date, inside of a write transaction. Raises `BrokerFailed`."""
    newest = max(migrations)
    found = check_ours(db, name, newest)
    for version in range(found + 1, newest + 1):
        migrations[version](db)
        db.pragma("user_version", version)


def check_ours(db: Database, name: str, newest: int = VERSION) -> int:
    """The schema's version, 0 for a new file. Raises `BrokerFailed` for one that is not for us."""
    tables = db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
    if tables and db.pragma("application_id") != APPLICATION_ID:
        msg = f"{name} holds the tables of another program: give the broker a file of its own"
        raise BrokerFailed(msg)
    found: int = db.pragma("user_version")
    if found > newest:
        raise BrokerFailed(of_schema(name, found, newest))
    return found


def of_schema(name: str, found: int, newest: int = VERSION) -> str:
    """What to say of a schema that is not known here."""
    return (
        f"{name} has schema version {found}, and this trioqueue knows none above {newest}: "
        "upgrade trioqueue here, or use the file with the version that wrote it"
    )
