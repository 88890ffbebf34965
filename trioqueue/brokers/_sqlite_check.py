"""Whether a file is fit for the SQLite broker: from facts to findings. `_sqlite_facts` gathers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from ._findings import Finding, fine, problem, size, warn
from ._sqlite_schema import VERSION, of_schema

#: File systems whose locks and shared memory do not hold between machines.
_NETWORK: Final = frozenset(
    (
        *("9p", "afs", "ceph", "cifs", "davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs"),
        *("fuse.sshfs", "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"),
    )
)
#: Bytes. Less is gone before anybody has looked.
_FREE: Final = 100 * 2**20
#: Bytes of write-ahead log from which on somebody keeps it from being taken in.
_LOG: Final = 256 * 2**20


@final
@dataclass(frozen=True, slots=True)
class SqliteFacts:
    """What was seen of a file. Sizes in bytes."""

    name: str  # as errors speak of it
    trouble: str | None = None  # why it cannot be used at all: nothing else is known then
    file_system: str | None = None  # its type, if the system tells
    free: int | None = None
    size: int = 0
    log_size: int = 0
    locked: str | None = None  # that nothing can be written now, and why
    ours: bool = True
    version: int = VERSION
    journal: str = "wal"
    damage: tuple[str, ...] = ()
    counts: Mapping[str, int] | None = None
    library: str = ""
    synchronous: str = "full"


def check_sqlite(facts: SqliteFacts) -> Iterator[Finding]:
    """All findings, in the order in which one would put things right."""
    if facts.trouble is not None:
        yield problem("file", facts.trouble, _advice_for(facts.trouble))
    else:
        yield fine("file", f"{facts.name} is there, readable and writable")
        yield from _check_content(facts)
    yield from _check_place(facts)


def _advice_for(trouble: str) -> str:
    if "is not there" in trouble:
        return "if that is where it shall be: the first publish makes it, and trioqueue run --check"
    return "nothing else was looked at"


def _check_content(facts: SqliteFacts) -> Iterator[Finding]:
    if not facts.ours:
        says = f"{facts.name} holds the tables of another program"
        yield problem("schema", says, "give the broker a file of its own")
        return
    if facts.version > VERSION:
        says = of_schema(facts.name, facts.version)
        yield problem("schema", says, "nothing was changed in it")
        return
    yield _check_version(facts.version)
    if facts.damage:
        advice = "restore it from a copy, or save what can be read (sqlite3 FILE .recover)"
        yield problem("integrity", f"it is damaged: {facts.damage[0]}", advice)
    else:
        yield fine("integrity", "every page can be read")
    if facts.locked is not None:
        says = f"nothing can be written at the moment: {facts.locked}"
        yield warn("lock", says, "if it lasts, end what holds it: fuser FILE tells who has it open")
    else:
        yield fine("lock", "nobody holds it up")
    yield _check_journal(facts)
    if facts.counts is not None:
        parts = [f"{number:,} {name}" for name, number in facts.counts.items() if number]
        yield fine("data", f"{', '.join(parts) or 'empty'}; {size(facts.size)}")


def _check_version(version: int) -> Finding:
    if version == VERSION:
        return fine("schema", f"version {version}")
    what = "an empty file" if not version else f"version {version}"
    return fine("schema", f"{what}: the next opening brings it to version {VERSION}")


def _check_journal(facts: SqliteFacts) -> Finding:
    if facts.journal != "wal" and facts.version:
        says = f"the journal mode is {facts.journal}: another program has changed it"
        return warn("journal", says, "the next opening makes it wal again; keep others out of it")
    if facts.log_size > _LOG:
        says = f"the write-ahead log has {size(facts.log_size)}: some program reads for ever"
        return warn("journal", says, "end it: until then the log only grows")
    kept = {
        "full": "what is accepted survives a power cut",
        "normal": "a power cut may lose the last moments, a killed process nothing",
    }
    return fine("journal", f"synchronous={facts.synchronous}: {kept[facts.synchronous]}")


def _check_place(facts: SqliteFacts) -> Iterator[Finding]:
    if facts.file_system in _NETWORK:
        says = f"it is on a network file system ({facts.file_system}), where locks do not hold"
        yield warn("place", says, "move it to a disk of this machine, or use Redis")
    else:
        yield fine("place", f"file system: {facts.file_system or 'not told by this system'}")
    if facts.free is None:
        return
    if facts.free < max(_FREE, facts.size // 10):
        yield warn("space", f"{size(facts.free)} are free on its disk", "free some")
    else:
        yield fine("space", f"{size(facts.free)} are free on its disk")
