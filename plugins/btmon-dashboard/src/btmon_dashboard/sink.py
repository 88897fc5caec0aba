# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. What it keeps is in `store.py`, what it shows in `app.py`."""

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import attrs

from btcore import (
    Batch,
    BtcoreError,
    ChannelRef,
    Claim,
    Context,
    DiagnosisContext,
    Finding,
    Problem,
    Retry,
    Secret,
    hookimpl,
    plugin,
    processes_listening,
    setting,
)
from btcore.serve import listen_claims, parse_listen_address
from btmon_dashboard.ledger import Ledger
from btmon_dashboard.live import Live
from btmon_dashboard.members import Members
from btmon_dashboard.overview import Overview
from btmon_dashboard.roles import Roles
from btmon_dashboard.store import Store

PORT = 8088

STOP_TIMEOUT = 5.0
"""Seconds for a thread to end."""

LOCAL = ("127.0.0.1", "::1", "localhost")
"""Hosts that only this computer reaches."""


def check_port(_instance: object, _attribute: object, port: int) -> None:
    """Raise ValueError for what is no port."""
    parse_listen_address(f"localhost:{port}")


def check_host(_instance: object, _attribute: object, host: str) -> None:
    """Raise ValueError for what is no address."""
    try:
        parse_listen_address(f"{host}:0")
    except ValueError:
        raise ValueError(f'expected an address of this computer, such as "0.0.0.0", found {host!r:.80}') from None


def is_filling(context: Context) -> bool:
    """Return whether what the journal has is being delivered again. Raises Retry."""
    try:
        return context.replay()
    except BtcoreError as error:
        raise Retry(f"it is not known whether readings are delivered again: {error}") from error


def start_preparing(ledger: Ledger) -> Callable[[], None]:
    """Prepare what things cost, in a thread of its own; return what ends it."""
    stop = threading.Event()
    thread = threading.Thread(target=ledger.prepare, args=(stop,), name="dashboard ledger", daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join(STOP_TIMEOUT)

    return end


@plugin(api=1)
class Dashboard:
    """Shows the house in a browser: now, and in the past."""

    host: str = setting(
        default="127.0.0.1", help="address to listen on; 0.0.0.0: for the entire network", validator=check_host
    )
    port: int = setting(default=PORT, help="TCP port of the pages", validator=check_port)
    file: Path = setting(
        default=Path("dashboard.db"), help="the file with the energy of all times; it is created if it does not exist"
    )
    password: Secret = setting(default=Secret(""), help="what a browser asks for, with any user name; empty: nothing")
    grid: tuple[ChannelRef, ...] = setting(
        default=(), help="channels of the house's supply; empty: those that [channels] calls mains or grid"
    )
    solar: tuple[ChannelRef, ...] = setting(
        default=(), help="channels of solar panels; empty: those that [channels] calls solar or pv"
    )
    battery: tuple[ChannelRef, ...] = setting(
        default=(), help="channels of a battery; empty: those that [channels] calls battery"
    )
    _stack: ExitStack = attrs.field(init=False, factory=ExitStack, repr=False)
    _store: Store | None = attrs.field(init=False, default=None, repr=False)
    _live: Live | None = attrs.field(init=False, default=None, repr=False)
    url: str = attrs.field(init=False, default="", repr=False)
    """Where it is served, once it is open."""

    def check(self) -> Iterator[Problem]:
        """Find pages that everybody on the network can read."""
        if self.host not in LOCAL and not self.password:
            text = "everybody who reaches this address sees when somebody is at home: set a `password`"
            yield Problem(text, key="host", warning=True)

    def claims(self) -> Iterator[Claim]:
        """Claim the port and the file."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        yield from listen_claims(f"{host}:{self.port}", key="port")
        yield Claim(f"file {os.path.realpath(self.file)}", key="file")

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out who has the port."""
        holders = processes_listening(self.port, besides=context.process) if context.failure else []
        if holders:
            yield Finding("port-in-use", f"TCP port {self.port} is held by {', '.join(holders)}", "Set another `port`")

    @hookimpl
    def open(self, context: Context) -> None:
        """Open the store and serve the pages. Raises Retry or Stop."""
        if context.dry_run:
            return
        with ExitStack() as stack:
            store = Store(self.file)
            stack.callback(store.close)
            if not store.meters and context.replay(ask=True):
                context.log.info("%s is new: the journal's readings are delivered to it again", self.file)
            store.is_filling = partial(is_filling, context)
            live = Live(context)
            for meter in store.meters.values():
                live.remember(meter.serial, meter.key, meter.channels)
            self._serve(context, store, live, stack)
            self._store, self._live, self._stack = store, live, stack.pop_all()

    def _serve(self, context: Context, store: Store, live: Live, stack: ExitStack) -> None:
        # importing them takes half a second, and only a run needs them
        from btmon_dashboard.app import Dashboard as Pages  # noqa: PLC0415
        from btmon_dashboard.server import WebServer, listen  # noqa: PLC0415

        try:
            server = WebServer(listen(self.host, self.port), context.log)
        except OSError as error:
            raise Retry(self._why_not(error)) from error
        stack.callback(server.close, live.wake)
        roles = Roles({"grid": self.grid, "solar": self.solar, "battery": self.battery}, context.describe_channel)
        members = Members(store, roles)
        store.mains = members.mains
        ledger = Ledger(store, members.house, context.tariff)
        may_retry = self.host in LOCAL or bool(self.password)
        overview = Overview(live, store, members, ledger)
        pages = Pages(live, overview, lambda: server.is_stopping, may_retry)
        server.open(pages.app(self.password.reveal()))
        if context.tariff is not None:
            stack.callback(start_preparing(ledger))
        self.url = server.url
        context.log.info("the dashboard is at %s", self.url)

    def _why_not(self, error: OSError) -> str:
        text = f"cannot listen on {self.host}, port {self.port}: {error.strerror or error}"
        if error.errno != errno.EADDRINUSE:
            return text
        holders = ", ".join(processes_listening(self.port)) or "a program"
        return f"{text}, by {holders}: end that, or set another `port`"

    @hookimpl
    def close(self) -> None:
        """Stop serving, and write what is pending. Raises Retry."""
        self._stack.close()
        self._store = self._live = None

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Add what was measured to the store, and show it. Raises Retry or Stop."""
        if self._store is not None and self._live is not None:
            self._store.add(batch.samples, self._live.context.polarity)
            self._live.show(batch.samples)
        return batch.sampled

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield what would be added."""
        for sample in batch.samples:
            yield f"{sample.end:%Y-%m-%d %H:%M:%S} {sample.serial}: energy of {len(sample.channels)} channels"
