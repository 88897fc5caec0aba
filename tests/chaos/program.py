# SPDX-License-Identifier: GPL-3.0-or-later
"""The program under test: it is started, killed and held, its disk filled, its clock set, its journal damaged."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
from chaos.schedule import Fault
from helpers.clock_file import ClockFile
from helpers.journal_damage import DAMAGES, Harm
from helpers.small_disk import SmallDisk
from helpers.sockets import unread_bytes

from btcore.testing import BtcoreProcess, wait_for

GRACE = 0.5
"""Seconds before a moment at which all was done, from which on something may have been on its way."""

CATCHING_UP = 120.0
"""Seconds that it has for that on a busy computer."""

HOT = 0.5
"""Seconds at most from then to a kill: the meters send all the time."""

NOTICING = 4.0
"""Seconds until a damage is noticed; one that does nothing, as to a page of which the log has a newer one, never is."""

MENDING = 1.0
"""Seconds after which it is mended. Two damages at once, and a kill before the program has looked, cost readings."""

SALVAGED = 60.0
"""Seconds after which nothing is read any more of a file that was moved away."""

QUIET = 0.7
"""Seconds for which a program that has nothing to do sleeps."""

LOST = re.compile(
    r"(\d+) (?:readings? )?(?:is|are) lost|(\d+) readings? (?:is|are) not as|lacks (\d+) readings? or more"
)
UNCOUNTED = re.compile(
    r"how many are lost is not known|what came in last may be lost|at least \d+|or more of its newest"
)
HARMS: Mapping[str, Harm] = {harm.name: harm for harm in DAMAGES}


@attrs.define
class Program:
    """The program on a disk of its own, with a clock that can be set."""

    folder: Path
    disk: SmallDisk
    clock: ClockFile
    site: str
    ports: Collection[int]
    excused: list[tuple[float, float]] = attrs.field(factory=list)
    """Spans of the steady clock: what was sent in them was perhaps never read by the program."""
    damages: list[str] = attrs.field(factory=list)
    """The damages that were done, by name."""
    _process: BtcoreProcess | None = None
    _offset: int = 0
    _starts: int = 0

    @property
    def process(self) -> BtcoreProcess:
        """The process."""
        assert self._process is not None, "the program does not run"
        return self._process

    @property
    def log(self) -> str:
        """The log of all runs."""
        return (self.folder / "log.txt").read_text()

    @property
    def lost(self) -> int:
        """How many readings were lost by damage, as the program says."""
        return sum(int(number) for found in LOST.findall(self.log) for number in found if number)

    @property
    def uncounted(self) -> int:
        """How often it said that it knows only of some that were lost: those of the last minute."""
        return len(UNCOUNTED.findall(self.log))

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.disk.path / "state" / "journal.db"

    def start(self) -> None:
        """Start, and wait until it listens to everybody."""
        self._starts += 1
        with self.clock.used():
            self._process = BtcoreProcess(self.folder, self.site)
        listens = 2 * self._starts
        wait_for(lambda: self._has_listened(listens), "btcore to listen to all meters")

    def _has_listened(self, times: int) -> bool:
        assert self.process.process.poll() is None, f"btcore has ended by itself:\n{self.log[-3000:]}"
        return self.log.count("listening on") >= times

    def look(self) -> bool:
        """Fail where it has ended by itself; return False."""
        assert self.process.process.poll() is None, f"btcore has ended by itself:\n{self.log[-3000:]}"
        return False

    def do(self, fault: Fault) -> None:
        """Do something to it."""
        self.look()
        deeds: dict[str, Callable[[Fault], None]] = {
            "kill": self._kill,
            "end": self._end,
            "stop": self._hold,
            "stopped-kill": self._hold,
            "full-disk": self._fill,
            "full-disk-kill": self._fill,
            "damage": self._damage,
            "damage-at-rest": self._kill,
            "clock": self._set_clock,
        }
        deeds[fault.kind](fault)

    def _catch_up(self) -> float:
        """Wait until the program has kept all that came in; return since when something may be on its way."""
        wait_for(lambda: not unread_bytes(self.ports) or self.look(), "btcore to read what came in", CATCHING_UP)
        began = time.monotonic() - GRACE
        wait_for(lambda: self._has_kept() or self.look(), "btcore to keep what it has read", CATCHING_UP)
        time.sleep(random.uniform(0.0, HOT))
        return began

    def _has_kept(self) -> bool:
        return not any(source["unwritten"] for source in self.status()["sources"])

    def _kill(self, fault: Fault, since: float | None = None) -> None:
        began = since or self._catch_up()
        self.process.process.kill()
        self.process.process.wait()
        if fault.kind == "damage-at-rest":
            self._harm(fault.what)
        self._clean_up()
        self.start()
        self.excused.append((began, time.monotonic()))

    def _end(self, _fault: Fault) -> None:
        began = self._catch_up()
        code = self.process.stop()
        assert code == 0, f"btcore ended with {code}:\n{self.log[-3000:]}"
        self.start()
        self.excused.append((began, time.monotonic()))

    def _hold(self, fault: Fault) -> None:
        began = self._catch_up()
        self.process.process.send_signal(signal.SIGSTOP)
        time.sleep(fault.seconds)
        if fault.kind == "stopped-kill":
            self._kill(fault, began)
        else:
            self.process.process.send_signal(signal.SIGCONT)

    def _fill(self, fault: Fault) -> None:
        """Fill its disk; with a kill, it is started again while that is full."""
        began = self._catch_up()
        self.disk.fill()
        time.sleep(fault.seconds)
        try:
            if fault.kind == "full-disk-kill":
                self._kill(fault, began)
        finally:
            self.disk.free()

    def _damage(self, fault: Fault) -> None:
        """Damage the journal, and wait until that is mended where it is one that is noticed."""
        harm, before = HARMS[fault.what], len(self.log)
        if not self._harm(fault.what):
            return
        deadline = time.monotonic() + NOTICING
        while not (harm.words_open and harm.words_open in self.log[before:]) and time.monotonic() < deadline:
            self.look()
            time.sleep(0.05)
        wait_for(lambda: self.journal.exists() or self.look(), "the journal to be there again")
        time.sleep(MENDING)
        self._clean_up()

    def _harm(self, name: str) -> bool:
        """Damage the journal; not where it has nothing yet that could be damaged so."""
        try:
            HARMS[name].do(self.journal)
        except (OSError, ValueError, IndexError):
            return False
        self.damages.append(name)
        return True

    def _clean_up(self) -> None:
        """Remove what was moved away: the disk is small."""
        for left in self.disk.path.glob("state/*.damaged-*"):
            if left.stat().st_ctime < time.time() - SALVAGED:
                left.unlink(missing_ok=True)
        shutil.rmtree(self.disk.path / "gone", ignore_errors=True)

    def _set_clock(self, fault: Fault) -> None:
        self._offset += int(fault.what)
        self.clock.set(self._offset)

    def status(self) -> dict[str, Any]:
        """Return what `btcore status` says."""
        command = [sys.executable, "-m", "btcore", "status", "--json", "--config", str(self.folder / "site.toml")]
        found: list[dict[str, Any]] = []

        def has_answered() -> bool:  # not within a second after its socket was removed
            self.look()
            text = subprocess.run(command, check=False, capture_output=True, text=True).stdout
            found[:] = [json.loads(text)] if text else []
            return bool(found)

        wait_for(has_answered, "btcore status to answer")
        return found[0]

    def wait_until_delivered(self, patience: float, with_intervals: Collection[str]) -> None:
        """Wait until no sink has anything to do; one with intervals waits for the end of its last one."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.look()
            is_idle = self._is_idle()
            sinks = self.status()["sinks"]
            busy = [sink for sink in sinks if sink["waiting"] and sink["name"] not in with_intervals]
            if is_idle and not busy and not any(sink["next_attempt"] for sink in sinks):
                return
            time.sleep(0.2)

    def _is_idle(self) -> bool:
        """Whether it sleeps for a while."""
        until = time.monotonic() + QUIET
        while time.monotonic() < until:
            if not self._sleeps():
                return False
            time.sleep(0.02)
        return True

    def _sleeps(self) -> bool:
        """Whether all its threads sleep: on a busy computer, one that has something to do is runnable."""
        tasks = Path(f"/proc/{self.process.process.pid}/task")
        with suppress(OSError):  # a thread has ended meanwhile
            return all(file.read_text().rpartition(")")[2].split()[0] == "S" for file in tasks.glob("*/stat"))
        return False

    @contextmanager
    def running(self) -> Iterator["Program"]:
        """Run while the block runs; nothing is left behind."""
        self.start()
        try:
            yield self
        finally:
            if self._process is not None and self._process.process.poll() is None:
                self._process.process.send_signal(signal.SIGCONT)
                self._process.process.kill()
                self._process.process.wait()
