"""Whether a file is fit for the broker: looked at as it is, and as it might be."""

import os
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from trioqueue.brokers._findings import Finding, Level
from trioqueue.brokers._sqlite import open_sqlite_broker
from trioqueue.brokers._sqlite_check import SqliteFacts, check_sqlite
from trioqueue.brokers._sqlite_facts import choose_mount, examine_sqlite, find_file_system, gather
from trioqueue.brokers._sqlite_schema import VERSION

from .sqlite_help import a_task, outsider

GOOD = SqliteFacts("jobs.db", file_system="ext4", free=10**12, counts={"ready": 3, "dead": 0})

#: What is found beside fine lines, as {case: (facts, name, level, words)}.
CASES = {
    "trouble": (
        *(SqliteFacts("jobs.db", trouble="jobs.db is a folder"), "file"),
        *(Level.PROBLEM, ["is a folder"]),
    ),
    "another program's": (
        *(replace(GOOD, ours=False), "schema", Level.PROBLEM),
        ["another program", "a file of its own"],
    ),
    "newer": (replace(GOOD, version=99), "schema", Level.PROBLEM, ["99", "upgrade trioqueue"]),
    "empty": (
        replace(GOOD, version=0),
        "schema",
        Level.OK,
        ["an empty file", f"version {VERSION}"],
    ),
    "damaged": (
        *(replace(GOOD, damage=("page 7 is bad",)), "integrity", Level.PROBLEM),
        ["page 7 is bad", "restore"],
    ),
    "locked": (
        *(replace(GOOD, locked="another program holds a lock"), "lock", Level.WARNING),
        ["holds a lock", "fuser"],
    ),
    "no log": (replace(GOOD, journal="delete"), "journal", Level.WARNING, ["delete"]),
    "a log that grows": (
        *(replace(GOOD, log_size=10**9), "journal", Level.WARNING),
        ["953.7 MiB", "reads for ever"],
    ),
    "normal": (replace(GOOD, synchronous="normal"), "journal", Level.OK, ["last moments"]),
    "on a network": (
        *(replace(GOOD, file_system="nfs4"), "place", Level.WARNING),
        ["nfs4", "locks do not hold"],
    ),
    "unknown place": (replace(GOOD, file_system=None), "place", Level.OK, ["not told"]),
    "a full disk": (replace(GOOD, free=10**6), "space", Level.WARNING, ["976.6 KiB are free"]),
    "a large file": (
        *(replace(GOOD, free=10**9, size=10**11), "space", Level.WARNING),
        ["953.7 MiB are free"],
    ),
    "data": (replace(GOOD, size=2048), "data", Level.OK, ["3 ready; 2.0 KiB"]),
}


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    """Of which none is there twice."""
    named = {finding.name: finding for finding in findings}
    assert len(named) == len(findings)
    return named


@pytest.mark.parametrize("case", CASES)
def test_what_is_made_of_the_facts(case: str):
    """One finding says it, with advice; all others are fine."""
    facts, name, level, words = CASES[case]
    findings = by_name(list(check_sqlite(facts)))
    finding = findings.pop(name)
    assert finding.level is level
    assert bool(finding.advice) == (level is not Level.OK)
    for word in words:
        assert word in f"{finding.says} -> {finding.advice}"
    assert {other.level for other in findings.values()} <= {Level.OK}


async def test_a_good_file_is_fine(tmp_path: Path):
    """Everything was looked at, and nothing is left beside it."""
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        await broker.publish([a_task("1"), a_task("2")])
    findings = by_name(await examine_sqlite(str(tmp_path / "jobs.db"), {}))
    assert {finding.level for finding in findings.values()} == {Level.OK}
    assert findings.keys() == {
        *("file", "schema", "integrity", "lock", "journal", "data", "place", "space"),
    }
    assert findings["data"].says.startswith("2 ready; ")
    assert os.listdir(tmp_path) == ["jobs.db"]


async def test_a_file_in_use_is_fine(tmp_path: Path):
    """A broker that is open does not mind, and is not minded."""
    async with open_sqlite_broker(tmp_path / "jobs.db") as broker:
        await broker.publish([a_task("1")])
        findings = await examine_sqlite(str(tmp_path / "jobs.db"), {})
        assert {finding.level for finding in findings} == {Level.OK}
        await broker.publish([a_task("2")])
        assert (await broker.counts()).ready == 2


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path):
    """A problem: mostly the path is wrong."""
    facts = gather(str(tmp_path / "jobs.db"), {})
    finding = by_name(list(check_sqlite(facts)))["file"]
    assert finding.level is Level.PROBLEM
    assert "is not there" in finding.says
    assert "publish makes it" in finding.advice
    assert os.listdir(tmp_path) == []


def test_what_is_no_database_is_told(tmp_path: Path):
    """And left as it is."""
    path = tmp_path / "jobs.db"
    path.write_bytes(b"not a database at all" * 100)
    assert "not an SQLite database" in (gather(str(path), {}).trouble or "")
    assert path.read_bytes() == b"not a database at all" * 100


async def test_another_programs_tables_are_told(tmp_path: Path):
    """Neither migrated nor checked."""
    path = tmp_path / "jobs.db"
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    facts = gather(str(path), {})
    assert not facts.ours
    assert facts.journal == "wal"  # not looked at


async def test_a_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By who has waited for it."""
    monkeypatch.setattr("trioqueue.brokers._sqlite_facts._PATIENCE", 1)
    async with open_sqlite_broker(tmp_path / "jobs.db"):
        pass
    with outsider(tmp_path / "jobs.db") as other:
        other.execute("BEGIN IMMEDIATE")
        assert gather(str(tmp_path / "jobs.db"), {}).locked == "another program holds a lock"
        other.execute("ROLLBACK")
    assert gather(str(tmp_path / "jobs.db"), {}).locked is None


async def test_damage_is_found(tmp_path: Path):
    """By reading all pages: not only those that the next task needs."""
    path = tmp_path / "jobs.db"
    async with open_sqlite_broker(path) as broker:
        await broker.publish([a_task(str(number)) for number in range(500)])
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(os.urandom(4096))
    facts = gather(str(path), {})
    assert facts.damage or facts.trouble


MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/root rw
30 22 0:25 / /srv rw,relatime shared:1 - nfs4 host:/srv rw
31 30 0:26 / /srv/fast rw,relatime - xfs /dev/sdb rw
32 22 0:27 / /my\040disk rw - btrfs /dev/sdc rw
33 22 0:28 / /over rw - ext4 /dev/sdd rw
34 33 0:29 / /over rw - fuse.sshfs host: rw
a line that is none
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/jobs.db", "ext4"),
        ("/srv/jobs.db", "nfs4"),
        ("/srv", "nfs4"),
        ("/srvs/jobs.db", "ext4"),
        ("/srv/fast/a/jobs.db", "xfs"),
        ("/my disk/jobs.db", "btrfs"),
        ("/over/jobs.db", "fuse.sshfs"),
        ("relative", None),
    ],
)
def test_the_nearest_mount_counts(path: str, kind: str | None):
    """The deepest, and of two on one place the later."""
    assert choose_mount(MOUNTS, path) == kind


def test_this_systems_mounts_are_read(tmp_path: Path):
    """On Linux; elsewhere nothing is told."""
    assert (find_file_system(str(tmp_path)) is not None) == os.path.exists("/proc/self/mountinfo")
