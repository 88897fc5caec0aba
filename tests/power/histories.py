# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories of a journal with a power cut: one run of it is recorded, and cut many times, each from its seed."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import attrs
from power.disk import STYLES, Counts, Disk, File, cut
from power.operations import Kind, Operation
from power.promises import Expected, broken_promises, open_and_close
from power.recorder import Recorder
from power.workload import KILLED, WRITTEN_BACK, Known, Step, Workload, shrink

from btcore.errors import BtcoreError

AGAIN = 0.15
"""How many histories have a second power cut, while the journal is opened after the first."""


@attrs.frozen
class Failure:
    """A history in which a promise was broken: the seed of the run, and the number of the cut in it."""

    seed: int
    cut: int
    text: str


@attrs.define
class Result:
    """What came out: how many histories there were of each style, what was left out in them, and what broke."""

    histories: int = 0
    second_cuts: int = 0
    styles: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(STYLES, 0))
    counts: Counts = attrs.field(factory=Counts)
    failures: list[Failure] = attrs.field(factory=list)

    def add(self, other: "Result") -> None:
        """Add what came out of others."""
        self.histories += other.histories
        self.second_cuts += other.second_cuts
        for style, count in other.styles.items():
            self.styles[style] += count
        self.counts.add(other.counts)
        self.failures += other.failures


@attrs.frozen
class Recording:
    """One run of a journal: what it did to its files, and what it acknowledged."""

    operations: Sequence[Operation]
    steps: Sequence[Step]
    is_always: bool


def record(folder: Path, recorder: Recorder, seed: int) -> Recording:
    """Run a journal, and record it."""
    random = Random(seed)
    shrink(random)
    workload = Workload(folder, recorder, random)
    try:
        workload.run()
        operations = recorder.end()
    finally:
        recorder.end()
        workload.close()
    return Recording(operations, workload.steps, workload.is_always)


@attrs.define
class Run:
    """A recorded run that is done again on a simulated disk."""

    recording: Recording
    disk: Disk
    done: int = 0
    is_under_way: bool = False
    durable: Known = attrs.field(factory=Known)

    def do(self, operation: Operation) -> None:
        """Do the next operation."""
        self.disk.do(operation)
        if operation.kind is Kind.MARK:
            self._mark(operation.data.decode())

    def _mark(self, text: str) -> None:
        if text == WRITTEN_BACK:
            self.disk.write_back()
            self.durable = self._known(self.done)
        elif text == KILLED:
            self.disk.close_all()
        elif text == "end":
            self.is_under_way = False
            self.done += 1
            if self.recording.steps[self.done - 1].is_durable:  # what was forgotten last may still come back
                forgotten = self._known(self.done - 1).forgotten
                self.durable = attrs.evolve(self._known(self.done), forgotten=forgotten)
        else:
            self.is_under_way = True

    def _known(self, steps: int) -> Known:
        return self.recording.steps[steps - 1].known if steps else Known()

    def expected(self) -> Expected:
        """Return what must be there after a power cut now."""
        step = self.recording.steps[self.done] if self.is_under_way else None
        return Expected(
            durable=self.durable,
            done=self._known(self.done),
            begun=step.known if step else self._known(self.done),
            is_always=self.recording.is_always,
            is_mending=bool(step and step.is_damage),
        )


def cuts(folder: Path, recorder: Recorder, seed: int, numbers: Sequence[int], *, is_lying: bool = False) -> Result:
    """Record the run of a seed, and cut it so many times."""
    result = Result()
    try:
        recording = record(folder, recorder, seed)
    except (BtcoreError, AssertionError) as error:
        result.failures.append(Failure(seed, 0, f"before any power cut: {error!r}"))
        return result
    plans = sorted(((number, *_plan(recording, seed, number)) for number in numbers), key=lambda plan: plan[1])
    run = Run(recording, Disk(is_lying=is_lying))
    at = 0
    for number, moment, style, random in plans:
        while at < moment:
            run.do(recording.operations[at])
            at += 1
        for text in _cut_once(folder / "cut", recorder, run, style, random, result):
            result.failures.append(Failure(seed, number, text))
    return result


def _plan(recording: Recording, seed: int, number: int) -> tuple[int, str, Random]:
    """Choose when the power is cut, and what is left; the same for the same numbers."""
    random = Random(f"{seed} {number}")
    return random.randint(0, len(recording.operations)), random.choice(sorted(STYLES)), random


def _cut_once(folder: Path, recorder: Recorder, run: Run, style: str, random: Random, result: Result) -> Iterator[str]:
    files = cut(run.disk, style, random, result.counts)
    result.histories += 1
    result.styles[style] += 1
    if random.random() < AGAIN:
        result.second_cuts += 1
        files = _cut_again(folder, recorder, files, random, result)
    state = _write(folder, files)
    broken = broken_promises(state, run.expected())
    yield from (f"{style}: {text}" for text in broken)


def _cut_again(
    folder: Path, recorder: Recorder, files: dict[str, bytes], random: Random, result: Result
) -> dict[str, bytes]:
    """Return what is left where the power is cut once more while the journal is opened."""
    state = _write(folder, files)
    recorder.begin(state, folder.with_name("second-log"))
    try:
        open_and_close(state)
    finally:
        operations = recorder.end()
    disk = Disk()
    disk.names = {name: File(data, bytearray(data)) for name, data in files.items()}
    disk.synced_names = dict(disk.names)
    for operation in operations[: random.randint(0, len(operations))]:
        disk.do(operation)
    return cut(disk, random.choice(sorted(STYLES)), random, result.counts)


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into an empty directory."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
