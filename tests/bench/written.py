# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what reaches the disk for one packet: bytes at the block device, and calls that wait for the disk.

Each setting has a file system of its own (ext4 on a loop device, in memory), all at the same time. The program runs as
it is installed, and simulated GEMs send to it. What is counted: the bytes that come to the device, which are also the
file system's own; those that the program has caused itself, as the kernel counts them (/proc/PID/io); and its calls
that wait for the disk. It needs root, mkfs.ext4 and strace; without them it says so, and measures nothing.

The journal commits every 15 minutes: a run that is shorter does not have its share of that. SQLite's log beside
`energy.db` grows up to 4 MB, and is then written over: what it costs the file system to let it grow ends with that,
after hours. `--full-log` makes it as long as that before it measures. What SQLite brings into the files at 4 MB is in
no measurement that is shorter than hours.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

WARM_UP = 8.0
"""Seconds that do not count: the files are made in them."""

SECTOR = 512

PAGE = 4096

FULL_LOG = 1000 * 4120 + 32 + (64 << 10)
"""Bytes that SQLite's log has when it is brought into the file, and some more, as a transaction may go beyond that."""

SYNCS = "fsync,fdatasync,sync_file_range,msync"

SITE = """
state = "state"
[source.panel]
use = "tcp-server"
host = "127.0.0.1"
port = {port}
"""

SINK = """
[sink.sqlite]
file = "energy.db"
"""


@attrs.frozen
class Setting:
    """What is measured: a name, and what the configuration has beside a source."""

    name: str
    text: str
    mount: str = "defaults"


NOTHING = '[sink.print]\nmeters = ["0"]\n'

MINUTES = f'{SINK}interval = "1m"\nflush_interval = "15m"\n'

SETTINGS = (
    Setting("the journal alone", NOTHING),
    Setting("default: journal and SQLite", SINK),
    Setting("the same, mounted with commit=60", SINK, "commit=60"),
    Setting("flush_interval = 5m of SQLite", f'{SINK}flush_interval = "5m"\n'),
    Setting("flush_interval = 0 of SQLite", f'{SINK}flush_interval = "0s"\n'),
    Setting("interval = 1m of SQLite", f'{SINK}interval = "1m"\n'),
    Setting("interval = 1m, flush_interval = 15m", MINUTES),
    Setting("both, mounted with commit=60", MINUTES, "commit=60"),
    Setting("sync = always, the journal alone", f'{NOTHING}[journal]\nsync = "always"\n'),
)


@attrs.frozen
class Written:
    """What was measured."""

    packets: int
    device: int
    program: int
    syncs: int

    def __str__(self) -> str:
        """Format it, for one packet."""
        device, program, syncs = (one / self.packets for one in (self.device, self.program, self.syncs))
        return f"{device:8,.0f} bytes of the device {program:8,.0f} of the program {syncs:7.3f} syncs"


@contextmanager
def disk(folder: Path, options: str) -> Iterator[tuple[Path, Path]]:
    """Make a file system of its own; yield where it is mounted, and the file with its device's counts."""
    image, mounted = folder / "image", folder / "disk"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    # nothing is to be written later in the background by the file system itself
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    device = run("losetup", "--find", "--show", str(image)).strip()
    try:
        run("mount", "-o", options, device, str(mounted))
        try:
            yield mounted, Path("/sys/block", Path(device).name, "stat")
        finally:
            run("umount", str(mounted))
    finally:
        run("losetup", "--detach", device)


def run(*command: str) -> str:
    """Run a command; return what it printed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def written(mounted: Path, stat: Path) -> int:
    """Return the bytes that were written to the device, after all that waits was written."""
    run("sync", "--file-system", str(mounted))
    return int(stat.read_text().split()[6]) * SECTOR


def measure(setting: Setting, rate: int, seconds: float, *, full_log: bool) -> Written:
    """Run the program on a disk of its own, with so many packets a second."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, disk(Path(folder), setting.mount) as (mounted, stat):
        port = free_port()
        site, trace = mounted / "site.toml", Path(folder, "trace")
        site.write_text(SITE.format(port=port) + setting.text)
        options = ("--follow-forks", "--seccomp-bpf", f"--trace={SYNCS}", f"--output={trace}")
        program = ("btcore", "run", "--config", str(site), "--quiet")
        output = Path(folder, "output")
        with running("strace", *options, sys.executable, "-m", *program, output=output) as traced:
            wait_for(port, traced, output)
            gems = ("simulate", "--connect", f"127.0.0.1:{port}", "--format", "gem48ptbin", "--realtime")
            paces = ("--meters", str(rate), "--interval", "1s")
            with running(sys.executable, "-m", "btcore", *gems, *paces):
                time.sleep(WARM_UP)
                if full_log and SINK in setting.text:
                    fill_log(mounted / "energy.db-wal")
                before, started = figures(mounted, stat, traced, trace, output), time.monotonic()
                time.sleep(seconds)
                after, ended = figures(mounted, stat, traced, trace, output), time.monotonic()
        return Written(round((ended - started) * rate), *(after[n] - before[n] for n in range(3)))


def fill_log(log: Path) -> None:
    """Make SQLite's log as long as it becomes: what comes after its last page means nothing to SQLite."""
    deadline = time.monotonic() + 120
    while not log.exists() or not log.stat().st_size:  # it is there with the first batch
        if time.monotonic() > deadline:
            raise TimeoutError(f"there is no {log}")
        time.sleep(0.2)
    time.sleep(1.0)
    with log.open("ab", buffering=0) as file:
        while file.tell() < FULL_LOG:  # by pages: a large page counts as written whole, wherever it is written to
            file.write(bytes(PAGE))


def figures(mounted: Path, stat: Path, traced: subprocess.Popen[bytes], trace: Path, output: Path) -> tuple[int, ...]:
    """Return the bytes of the device, those of the program, and its calls that waited for the disk."""
    programs = children(traced)
    if not programs:
        raise has_ended(traced, output)
    counts = dict(line.split(": ") for line in Path(f"/proc/{programs[0]}/io").read_text().splitlines())
    return written(mounted, stat), int(counts["write_bytes"]), count(trace)


def has_ended(traced: subprocess.Popen[bytes], output: Path) -> RuntimeError:
    """Return the error that says how the program has ended, and what it printed."""
    with suppress(subprocess.TimeoutExpired):
        traced.wait(5)
    code = "not known" if traced.returncode is None else traced.returncode  # of strace: that of the program
    printed = output.read_text(errors="replace").strip() or "nothing"
    return RuntimeError(f"the program has ended while it was measured. Its exit code is {code}; it printed:\n{printed}")


def count(trace: Path) -> int:
    """Return how many calls of the program have waited for the disk."""
    return sum("sync" in line and "resumed" not in line for line in trace.read_text().splitlines())


@contextmanager
def running(*command: str, output: Path = Path(os.devnull)) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program meanwhile; what it prints goes into a file."""
    with output.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Tell a program to end, and the one that it traces, and wait for it."""
    for child in children(process):
        os.kill(child, signal.SIGTERM)
    if process.args[0] != "strace":  # type: ignore[index]
        process.terminate()
    process.wait(60)


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that a process has started."""
    with suppress(OSError):
        return [int(one) for one in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    return []


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, traced: subprocess.Popen[bytes], output: Path) -> None:
    """Wait until the program listens."""
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if traced.poll() is not None:
            raise has_ended(traced, output)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the program does not listen. It printed:\n{output.read_text(errors='replace')}")
        time.sleep(0.2)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--rates", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--settings", default="", help="only the settings with this text in their name")
    parser.add_argument("--full-log", action="store_true", help="as it is after the first hours")
    arguments, _ = parser.parse_known_args()  # those of the other benches
    missing = [name for name in ("mkfs.ext4", "losetup", "mount", "strace") if shutil.which(name) is None]
    if missing or os.geteuid():
        print(f"written bytes are not measured: this needs root{''.join(f', {name}' for name in missing)}")
        return 0
    jobs = [(setting, rate) for setting in SETTINGS if arguments.settings in setting.name for rate in arguments.rates]
    with ThreadPoolExecutor(len(jobs)) as pool:
        found = pool.map(lambda job: measure(job[0], job[1], arguments.seconds, full_log=arguments.full_log), jobs)
        for (setting, rate), one in zip(jobs, found, strict=True):
            print(f"{setting.name:<35} {rate:3} a second: {one} a packet", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
