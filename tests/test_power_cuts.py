# SPDX-License-Identifier: GPL-3.0-or-later
"""Power cuts of a simulated disk under the journal: a short part of what `nox -s power` does, and that it can fail."""

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from helpers.needed import needs
from hypothesis import given
from hypothesis import strategies as st
from power.disk import SECTOR, STYLES, Counts, Disk, cut
from power.mutants import MUTANTS
from power.operations import CREATED, HEADER, Kind, Operation, operations_in
from power.recorder import MISSING

TESTS = Path(__file__).parent
LONGEST = 300

simulated = pytest.mark.servers  # they start processes


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the simulator in one process."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, str(TESTS / "power" / "run.py"), "--jobs", "1", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=LONGEST, env=environment)


@simulated
@needs(MISSING)
def test_no_power_cut_breaks_a_promise() -> None:
    """Whatever a power cut leaves of what was not synced, what was promised is there, and collecting goes on."""
    done = simulate("--seed", "1", "--histories", "100")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "  failures: 0"), done.stdout + done.stderr
    assert "100 histories" in done.stdout


@simulated
@needs(MISSING)
@pytest.mark.parametrize(("without", "seed"), [("the-disk", 1), ("the-tail", 4), ("the-log", 3), ("the-name", 9)])
def test_what_is_not_synced_is_found_to_be_lost(without: str, seed: int) -> None:
    """Without one of the journal's waits for the disk the simulator finds a loss, and its line replays exactly that."""
    done = simulate("--seed", str(seed), "--histories", "2000", "--stop", "--without", without)
    text, line = done.stdout.splitlines()[:2]
    assert done.returncode == 1
    assert "are lost that were on the disk" in text
    assert line.startswith("    nox -s power -- --seed")
    again = simulate(*line.partition(" -- ")[2].split())
    assert again.stdout.splitlines()[:2] == [text, line]
    assert re.search(r": 1 histories", again.stdout)


def test_each_wait_that_can_be_taken_out_is_tried() -> None:
    """No mutant is left out above."""
    assert {*MUTANTS} - {""} == {"the-disk", "the-tail", "the-log", "the-name"}


def opened(name: str, descriptor: int = 5, how: int = CREATED) -> Operation:
    """Make the operation that opens a file."""
    return Operation(Kind.OPEN, descriptor, how, f"/{name}".encode())


def written(at: int, data: bytes, descriptor: int = 5) -> Operation:
    """Make the operation that writes to a file."""
    return Operation(Kind.WRITE, descriptor, at, data)


SYNC_NAMES = [opened("", 9, 0), Operation(Kind.SYNC, 9, 0, b""), Operation(Kind.CLOSE, 9, 0, b"")]
SYNC = Operation(Kind.SYNC, 5, 0, b"")


def disk_of(*operations: Operation) -> Disk:
    """Return a disk on which this was done."""
    disk = Disk()
    for operation in operations:
        disk.do(operation)
    return disk


@given(st.sampled_from(sorted(STYLES)), st.integers(0, 1000))
def test_what_was_synced_with_its_name_survives(style: str, seed: int) -> None:
    """No power cut takes back what was synced, once its name was; writes to other sectors change nothing of it."""
    disk = disk_of(opened("one"), written(0, b"a" * SECTOR), SYNC, *SYNC_NAMES, written(SECTOR, b"b" * 3 * SECTOR))
    assert cut(disk, style, Random(seed), Counts())["one"][:SECTOR] == b"a" * SECTOR


@given(st.integers(0, 1000))
def test_a_sector_is_of_one_moment(seed: int) -> None:
    """A sector that was not synced has what it had at some moment: never a later write without an earlier one."""
    disk = disk_of(opened("one"), *SYNC_NAMES, *(written(at, bytes([at + 1])) for at in range(9)))
    left = cut(disk, "any sector", Random(seed), Counts())["one"].rstrip(b"\0")
    assert left == bytes(range(1, len(left) + 1))


def test_every_kind_of_loss_happens() -> None:
    """Among power cuts are some that lose all, some that lose nothing, and some that lose only the earlier write."""
    disk = disk_of(opened("one"), *SYNC_NAMES, written(0, b"a"), written(4096, b"b"))
    left = {cut(disk, style, Random(seed), Counts())["one"].rstrip(b"\0") for style in STYLES for seed in range(30)}
    assert left == {b"", b"a", bytes(4096) + b"b", b"a" + bytes(4095) + b"b"}


def test_a_name_that_was_not_synced_may_be_gone_or_old() -> None:
    """A file that was synced may have no name, its old one or its new one, and a removed one may be there again."""
    renamed = Operation(Kind.RENAME, -1, 0, b"/one\0/two")
    removed = Operation(Kind.REMOVE, -1, 0, b"/three")
    disk = disk_of(opened("three"), *SYNC_NAMES, opened("one"), written(0, b"a"), SYNC, renamed, removed)
    left = {tuple(cut(disk, "any page", Random(seed), Counts())) for seed in range(200)}
    assert {("three",), (), ("one",), ("two",), ("three", "two")} <= left


def test_a_kill_loses_nothing() -> None:
    """What a killed program has written is there, synced or not."""
    disk = disk_of(opened("one"), written(0, b"abc"), Operation(Kind.TRUNCATE, 5, 2, b""), written(4, b"e"))
    assert cut(disk, "kill", Random(1), Counts()) == {"one": b"ab\0\0e"}


@given(st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 99), st.integers(0, 9), st.binary(max_size=9))))
def test_what_is_recorded_is_read_again(calls: list[tuple[Kind, int, int, bytes]]) -> None:
    """The operations in the recorder's file are those that were written to it, in order."""
    data = b"".join(HEADER.pack(kind.value, file, number, len(of)) + of for kind, file, number, of in calls)
    assert [*operations_in(data)] == [Operation(*call) for call in calls]
