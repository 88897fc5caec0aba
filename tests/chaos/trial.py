# SPDX-License-Identifier: GPL-3.0-or-later
"""One trial: a site with all its sinks, meters that send, all that the schedule has, and the account at its end."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from chaos.audit import Account, Facts, Kept, settle
from chaos.lines import Lines
from chaos.meters import make_meters
from chaos.program import Program
from chaos.schedule import Fault
from chaos.services import EmoncmsStore, InfluxStore, PVOutputStore
from chaos.stores import SITE_OF_EACH, Identity, MariaDBStore, SqliteFile, Store
from helpers.clock_file import ClockFile, remove_leftovers
from helpers.database_rows import kept_packets, table_rows
from helpers.small_disk import SmallDisk, small_disk
from servers.database_servers import MariaDB
from servers.influxdb_api import InfluxDB2
from servers.pvoutput import PVOutputServer

from btcore.testing import HostedService, free_port

DISK = 200
"""Megabytes of the disk that the state is on."""

DAYS_BEHIND = 10
"""By how many days the clock of the first meter is behind at first: a gateway has stored what it sent."""

SETTLING = 120.0
"""Seconds that the sinks have in the end to deliver everything."""

LONGER, SLOW = 2, 120.0
"""A schedule may take so many times as long as it should, and so many seconds more, on a busy computer."""

WITH_INTERVALS = ("pvoutput",)

PANEL = """
[source.{name}]
use = "tcp-server"
host = "127.0.0.1"
port = {port}
max_packets_per_second = 0
"""


@attrs.frozen
class Options:
    """What a trial is made of: each meter sends `rate` packets a second, in which `step` seconds pass for it each.

    `keep` is a folder that all its files are copied into.
    """

    seed: int
    seconds: float
    meters: int = 6
    rate: float = 4.0
    step: int = 50
    with_mariadb: bool = True
    with_small_disk: bool = True
    keep: Path | None = None


def run_trial(options: Options, schedule: Sequence[Fault], say: Callable[[str], None]) -> Account:
    """Run it; return the account. Raises AssertionError where the program ends by itself, or hangs."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="chaos")))
        stack.callback(remove_leftovers)
        begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=DAYS_BEHIND)
        meters = make_meters(options.meters, options.seed, options.step, begin)
        stores = _stores(stack, folder, meters[0].serial, with_mariadb=options.with_mariadb)
        ports = [free_port(), free_port()]
        disk = stack.enter_context(small_disk(DISK) if options.with_small_disk else _any_disk(schedule))
        stack.callback(_keep, options, folder, disk.path)  # when the program has ended
        clock = ClockFile(folder / "clock")
        clock.set(0)
        program = stack.enter_context(Program(folder, disk, clock, _site(disk.path, ports, stores), ports).running())
        # a database server ends with the thread that has started it
        pool = stack.enter_context(ThreadPoolExecutor(len(stores)))
        lines = Lines(meters, [ports[bool(number)] for number in range(len(meters))], 1 / options.rate, options.step)
        with lines.sending():
            _do_all(schedule, program, lines, {store.name: store for store in stores}, pool, say)
        program.wait_until_delivered(SETTLING, WITH_INTERVALS)
        return _account(program, lines, stores)


@contextmanager
def _any_disk(schedule: Sequence[Fault]) -> Iterator[SmallDisk]:
    """Use the disk of temporary files, which is never filled."""
    assert not any("disk" in fault.kind for fault in schedule), "only a small disk may be filled"
    with TemporaryDirectory(prefix="disk") as folder:
        yield SmallDisk(Path(folder))


def _stores(stack: ExitStack, folder: Path, meter: str, *, with_mariadb: bool) -> list[Store]:
    stores: list[Store] = [SqliteFile("counters", folder), SqliteFile("samples", folder)]
    if with_mariadb:
        stores.append(MariaDBStore(stack.enter_context(MariaDB())))
    stores.append(InfluxStore(stack.enter_context(InfluxDB2())))
    stores.append(EmoncmsStore(stack.enter_context(HostedService())))
    stores.append(PVOutputStore(stack.enter_context(PVOutputServer(limit=1_000_000)), meter))
    return stores


def _keep(options: Options, *folders: Path) -> None:
    """Copy all files to where they are asked for."""
    if options.keep is not None:
        for folder in folders:
            left_out = shutil.ignore_patterns("control*")  # a socket
            shutil.copytree(folder, options.keep / folder.name, dirs_exist_ok=True, ignore=left_out)


def _site(disk: Path, ports: Sequence[int], stores: Sequence[Store]) -> str:
    gateway = f'{PANEL.format(name="gateway", port=ports[0])}clock = "device-utc"\n'
    sinks = "\n".join(store.table + SITE_OF_EACH for store in stores)
    return f'state = "{disk}/state"\n{gateway}{PANEL.format(name="panel", port=ports[1])}\n{sinks}'


def _do_all(
    schedule: Sequence[Fault],
    program: Program,
    lines: Lines,
    troubled: Mapping[str, Store],
    pool: ThreadPoolExecutor,
    say: Callable[[str], None],
) -> None:
    """Do what the schedule has; what is done to a sink is done beside the rest."""
    began, over = time.monotonic(), threading.Event()

    def trouble(name: str) -> None:
        for fault in schedule:
            if fault.whose == name and not over.wait(max(0.0, began + fault.at - time.monotonic())):
                with troubled[name].trouble(fault.kind):
                    over.wait(fault.seconds)

    troubles = [pool.submit(trouble, name) for name in troubled]
    try:
        for fault in schedule:
            if time.monotonic() - began > LONGER * (fault.at + SLOW):
                say(f"what comes after {fault.at:.0f} s is left out: this computer is too slow for it")
                break
            if not fault.whose:
                time.sleep(max(0.0, began + fault.at - time.monotonic()))
                say(f"{fault}")
                _do(fault, program, lines)
    finally:
        over.set()
    for one in troubles:
        one.result()


def _do(fault: Fault, program: Program, lines: Lines) -> None:
    with lines.calm():
        if fault.kind == "restart-meter":
            lines.restart(int(fault.what))
        else:
            program.do(fault)
        time.sleep(0.5)


def _account(program: Program, lines: Lines, stores: Sequence[Store]) -> Account:
    sinks = program.status()["sinks"]
    code = program.process.stop()
    journal = program.journal
    kept = [Kept(serial, key, raw) for _, serial, key, raw in kept_packets(journal)]
    roof = next((store for store in stores if isinstance(store, PVOutputStore)), None)
    account = settle(
        Facts(
            packets=[*lines.packets()],
            sent=lines.sent,
            excused=program.excused,
            kept=kept,
            stored={store.name: store.stored() for store in stores if store is not roof},
            dead_letters=_dead_letters(journal),
            dropped={sink["name"]: sink["dropped"] or 0 for sink in sinks},
            lost=program.lost,
            uncounted=program.uncounted,
            slots=roof.slots() if roof else None,
            slots_of=lines.meters[0].serial,
        )
    )
    wrong = [*account.wrong]
    wrong += [f"btcore ended with {code}"] if code else []
    wrong += ["there is a traceback in the log"] if "Traceback" in program.log else []
    wrong += [
        f"sink {sink['name']} has not delivered: {sink['waiting']} wait"
        for sink in sinks
        if sink["waiting"] and sink["name"] not in WITH_INTERVALS
    ]
    return Account(account.lines, wrong)


def _dead_letters(journal: Path) -> dict[str, set[Identity]]:
    """Return the readings that are dead letters, by sink."""
    found: dict[str, set[Identity]] = {}
    for sink, serial, keys in table_rows(journal, "dead_letter", "sink, serial, json_extract(keys, '$[#-1]')"):
        found.setdefault(sink.removeprefix("sink."), set()).add((serial, keys))
    return found
