# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of btmon-tee share: a gateway with a meter behind it, and readers."""

import contextlib
import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event, Lock, Thread
from typing import Any

import attrs
import pytest
from helpers.packets import DECODERS

from btcore import Chunk, Context
from btcore.decode.splitting import PacketSplitter
from btcore.testing import wait_for
from btmon_tee.proxy import Proxy

PATIENCE = 20.0


@attrs.define(eq=False)
class Gateway:
    """A gateway that takes one connection at a time, and says what it is told to; `heard` is what was sent to it."""

    listener: socket.socket = attrs.field(factory=lambda: socket.create_server(("127.0.0.1", 0)))
    heard: bytearray = attrs.field(factory=bytearray)
    connections: int = 0
    answer: Callable[[bytes], bytes] = lambda _data: b""
    _line: socket.socket | None = None
    _thread: Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin."""
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listener.getsockname()[1])

    def say(self, data: bytes) -> None:
        """Send something to whoever is connected."""
        wait_for(lambda: self._line is not None, "a connection to the gateway", PATIENCE)
        assert self._line is not None
        self._line.sendall(data)

    def hang_up(self) -> None:
        """End the connection."""
        line, self._line = self._line, None
        assert line is not None
        line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End all."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self._line is not None:
            with contextlib.suppress(OSError):  # closed by the other side
                self.hang_up()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection = self.listener.accept()[0]
                self._line, self.connections = connection, self.connections + 1
                with connection, contextlib.suppress(OSError):
                    while data := connection.recv(4096):
                        self.heard += data
                        if answer := self.answer(data):
                            connection.sendall(answer)


@attrs.define(eq=False)
class Client:
    """A reader: `data` is what it was sent."""

    connection: socket.socket
    data: bytearray = attrs.field(factory=bytearray)
    has_ended: bool = False

    def listen(self) -> None:
        """Read from now on."""
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.connection.recv(4096):
                self.data += data
        self.has_ended = True

    def send(self, data: bytes) -> None:
        """Send something."""
        self.connection.sendall(data)

    def hears(self, data: bytes) -> None:
        """Wait until it was sent this, and no more."""
        wait_for(lambda: len(self.data) >= len(data), f"{data!r:.60} after {bytes(self.data)!r:.60}", PATIENCE)
        assert bytes(self.data) == data


@attrs.define(eq=False)
class Running:
    """A proxy whose `collect` runs in a thread, as the core has it run, and what it yielded."""

    proxy: Proxy
    context: Context
    chunks: list[Chunk] = attrs.field(factory=list)
    failure: str = ""
    stop: Event = attrs.field(factory=Event)
    thread: Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Open it, and begin."""
        self.proxy.open(self.context)
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for chunk in self.proxy.collect(self.stop):
                self.chunks.append(chunk)
                self.context.commands.came_in(chunk.stream, chunk.data)
        except Exception as error:  # noqa: BLE001 - the core takes any
            self.failure = f"{type(error).__name__}: {error}"
        self.proxy.close()

    @property
    def data(self) -> bytes:
        """All bytes, joined."""
        return b"".join(chunk.data for chunk in self.chunks)

    def again(self) -> "Running":
        """Open it again after a failure."""
        self.thread.join(PATIENCE)
        return Running(self.proxy, self.context)

    def end(self) -> None:
        """Stop it."""
        self.stop.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@attrs.define
class Site:
    """What one test runs; all of it ends with the test."""

    caplog: pytest.LogCaptureFixture
    stack: ExitStack
    lock: Lock = attrs.field(factory=Lock)

    def gateway(self, answer: Callable[[bytes], bytes] = lambda _data: b"") -> Gateway:
        """Have a gateway."""
        made = Gateway(answer=answer)
        self.stack.callback(made.close)
        return made

    def proxy(self, **settings: Any) -> Running:  # noqa: ANN401 - of any kind
        """Run a proxy."""
        context = Context(
            name="source.panel",
            log=logging.getLogger("source.panel"),
            splitter=lambda: PacketSplitter(DECODERS.stream()),
        )
        running = Running(Proxy(**{"listen": "127.0.0.1:0", **settings}), context)
        self.stack.callback(running.end)
        return running

    @property
    def port(self) -> int:
        """The port for readers, as a person finds it in the log."""
        return int(re.findall(r"listening on \S+:(\d+)$", "\n".join(self.caplog.messages), re.MULTILINE)[-1])

    def reader(self, *, listens: bool = True) -> Client:
        """Connect a reader, and wait until it is served."""
        with self.lock:
            before = sum(" reads, " in message for message in self.caplog.messages)
            client = Client(socket.create_connection(("127.0.0.1", self.port), PATIENCE))
            self.stack.callback(client.connection.close)
            wait_for(lambda: sum(" reads, " in message for message in self.caplog.messages) > before, "a reader")
        if listens:
            client.listen()
        return client


@pytest.fixture
def site(caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    """Give what makes gateways, proxies and readers."""
    caplog.set_level(logging.DEBUG)
    with ExitStack() as stack:
        yield Site(caplog, stack)
