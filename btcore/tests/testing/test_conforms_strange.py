# SPDX-License-Identifier: GPL-3.0-or-later
"""`conforms` and plugins that are broken in strange ways: each is told in a sentence, and none holds it up."""

# ruff: noqa: ARG005 - methods without a class: what each is given is not asked for

import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from types import FunctionType
from typing import Any
from urllib.request import urlopen

import pytest

from btcore import (
    Batch,
    Channel,
    Chunk,
    Discovered,
    Format,
    Incomplete,
    Packet,
    Problem,
    Reading,
    Retry,
    Secret,
    hookimpl,
    plugin,
    setting,
)
from btcore.testing import HostedService, Reply, find_faults
from btcore.web import Client, raise_for_answer

FORM = Format("fx", ("secs", "pv_ws"), (Channel("pv", "pv_ws", directional=False),), lambda _raw: (1, 2))
TWISTED = Format("fx", ("secs", "pv_ws"), (Channel("pv", "pv_ws", directional=False),), lambda _raw: (1, 2, 3))
ZONED = Format(
    "fx",
    ("secs", "pv_ws"),
    (Channel("pv", "pv_ws", directional=False),),
    lambda _raw: (1, 2),
    clock=lambda _raw: datetime.now(UTC),
)
PACKETS = (b"FX001", b"FX002")
NEVER = threading.Event()


def wait(self: object) -> None:
    """Never return, while the test runs."""
    NEVER.wait(30)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait a shorter time; let go what hangs, at the end."""
    monkeypatch.setattr("btcore.testing.conformance.lifetimes.PATIENCE", 0.5)
    monkeypatch.setattr("btcore.testing.conformance.calls.PATIENCE", 2.0)
    yield
    NEVER.set()
    NEVER.clear()


def made(**members: Any) -> type:  # noqa: ANN401 - of a class
    """Return a plugin with these members; those that are named as a hook are hooks."""
    types = members.pop("types", {})
    for name, value in members.items():
        if isinstance(value, FunctionType):
            value.__qualname__ = f"Strange.{name}"  # of a function without a class, pluggy counts `self` as an argument
    hooks = {"open", "close", "process_batch", "preview_batch", "find_stored", "split", "create_storage", "collect"}
    found = {name: hookimpl(value) if name in hooks | {"decode_packet"} else value for name, value in members.items()}
    return plugin(api=1)(type("Strange", (), {"__doc__": "Is strange.", "__annotations__": types, **found}))


def sink(**members: Any) -> type:  # noqa: ANN401 - of a class
    """Return a sink with these members, that takes all."""
    return made(**{"process_batch": lambda self: None, **members})


def source(**members: Any) -> type:  # noqa: ANN401 - of a class
    """Return a source with these members, that brings a chunk."""
    return made(**{"collect": lambda self: iter([Chunk(b"")]), **members})


def decoder(**members: Any) -> type:  # noqa: ANN401 - of a class
    """Return a decoder with these members, of packets of five bytes."""

    def decode_packet(self: Any, buffer: memoryview) -> Packet | Incomplete | None:  # noqa: ANN401 - the plugin
        raw = bytes(buffer[:5])
        if not raw or not raw.startswith(b"FX"[: len(raw)]):
            return None
        return Incomplete() if len(raw) < 5 else Packet(5, self.packet_formats[0], "17", raw)

    return made(**{"decode_packet": decode_packet, "packet_formats": (FORM,), "header": b"FX", **members})


async def asynchronous(self: object) -> None:
    """Never be run."""


def yielding(self: object) -> Iterator[int]:
    """Never be run."""
    yield 1


def changing(self: object, batch: Batch) -> None:
    """Change a reading."""
    object.__setattr__(batch.readings[0], "serial", "changed")


def failing(self: object) -> None:
    """Fail."""
    raise OSError("no")


def revealing(self: Any) -> None:  # noqa: ANN401 - the plugin
    """Show a secret on the screen."""
    print(self.token.reveal())  # noqa: T201 - which is the fault


def renaming(self: Any) -> None:  # noqa: ANN401 - the plugin
    """Start a thread with a secret in its name."""
    threading.Thread(target=NEVER.wait, args=(1,), name=f"sends {self.token.reveal()}").start()


def loud(self: object) -> None:
    """Change what the process has one of."""
    os.environ["TZ"] = "Asia/Tokyo"
    os.chdir("/")
    logging.getLogger().setLevel(logging.CRITICAL)


def naive(self: object) -> Iterator[Reading]:
    """Yield a reading whose time has no zone."""
    yield Reading(datetime.now(), FORM, "17", b"", numbers=(1, 2))  # noqa: DTZ005 - which is the fault


TOKEN = {"token": setting(help="the key"), "types": {"token": Secret}}

SINKS: list[tuple[str, Callable[[], type], str]] = [
    ("constructor hangs", lambda: sink(__attrs_post_init__=wait), "making an instance does not return within 2 s"),
    ("check hangs", lambda: sink(check=wait), "`check` does not return within 2 s"),
    ("repr hangs", lambda: sink(__repr__=wait), "its repr does not return within 2 s"),
    ("open hangs", lambda: sink(open=wait), "`open`: it has not returned for 2 s; time out"),
    ("close hangs", lambda: sink(close=wait), "`close` does not return within 2 s"),
    ("preview hangs", lambda: sink(preview_batch=wait), "preview_batch fails: it has not returned for 2 s"),
    ("check has no end", lambda: sink(check=lambda self: repeat(Problem("x", warning=True))),
     "`check` fails: ValueError: it yields more than 1000 things"),
    ("preview has no end", lambda: sink(preview_batch=lambda self: repeat("x")),
     "preview_batch fails: ValueError: it yields more than 1000 things"),
    ("find_stored has no end", lambda: sink(find_stored=lambda self: repeat(("312345", 1))),
     "find_stored fails: ValueError: it yields more than 1000 things"),
    ("close fails", lambda: sink(close=failing), "`close` fails: retry, no"),
    ("close after open", lambda: sink(open=failing, close=lambda self: self.client.close()),
     "`close` fails where `open` failed before: AttributeError"),
    ("async", lambda: sink(open=asynchronous), "the hook `open` is async, so its body is never run"),
    ("yield", lambda: sink(open=yielding), "the hook `open` has a yield in it, so its body is never run"),
    ("bool", lambda: sink(process_batch=lambda self: True), "process_batch returned a bool"),
    ("batch is changed", lambda: sink(process_batch=changing), "process_batch changes the batch"),
    ("split", lambda: sink(split=lambda self: ["a"]), "expected an instance for each name, found a list"),
    ("hosted", lambda: sink(hosted="yes"), "returned a str for `hosted`, expected True or False"),
    ("create_storage", lambda: sink(create_storage=lambda self: 5), "create_storage fails: TypeError"),
    ("diagnose", lambda: sink(diagnose=lambda self, context: ["no"]), "diagnose yielded a str; expected a Finding"),
    ("shared state", lambda: sink(open=loud), "the current directory, the environment variables, the level of the"),
    ("secret on the screen", lambda: sink(process_batch=revealing, **TOKEN), "stands in what it prints"),
    ("secret of a thread", lambda: sink(open=renaming, **TOKEN), "stands in the name of a thread"),
    ("secret of a part", lambda: sink(split=lambda self: {self.token.reveal(): self}, **TOKEN),
     "stands in the name of a part"),
    ("no type", lambda: sink(port=setting(help="the port"), types={}), "the setting `port` has no type"),
    ("no such type", lambda: sink(port=setting(help="the port"), types={"port": "Prot"}),
     "the setting `port`: name 'Prot' is not defined"),
    ("default of a path", lambda: sink(dir=setting(default="x", help="the folder"), types={"dir": Path}),
     "it is a str, which is not converted: write default=Path(...)"),
    ("shared default", lambda: sink(names=setting(default=["x"], help="names"), types={"names": list[str]}),
     "all instances share it, and one may change it: use setting(factory=...)"),
    ("name of a setting", lambda: sink(größe=setting(default=1, help="size"), types={"größe": int}),
     "the setting `größe` needs quotes in a site.toml"),
    ("discover", lambda: sink(discover=classmethod(lambda _cls, _seconds: ["no"])),
     "`discover` yields 'no'; expected a Discovered"),
    ("discover in a method", lambda: sink(discover=lambda self: []), "`discover` is no class method"),
    ("discovered", lambda: sink(discover=classmethod(
        lambda _cls, _seconds: [Discovered(kind="source", text="x", settings={"port": 1})])),
     "`discover` offers a table with `port`, which is no setting of this plugin"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "sentence"), [case[1:] for case in SINKS], ids=[case[0] for case in SINKS])
def test_a_strange_sink_is_told(make: Callable[[], type], sentence: str) -> None:
    """What is wrong with it stands in one of the faults."""
    found = find_faults(make())
    assert any(sentence in fault.text for fault in found), found


OTHERS: list[tuple[str, Callable[[], type], str]] = [
    ("naive time", lambda: source(collect=naive), "a reading's time: expected a time with its zone"),
    ("no iterator", lambda: source(collect=lambda self: [Chunk(b"")]), "collect returned a list"),
    ("open hangs", lambda: source(open=wait), "`open`: it has not returned for 2 s"),
    ("close hangs", lambda: source(close=wait), "`close` does not return within 2 s"),
    ("patience", lambda: source(patience="long"), "its `patience` is 'long'; expected a number of seconds"),
    ("decoder hangs", lambda: decoder(decode_packet=wait), "with the bytes b'': it has not returned for 2 s"),
    ("header", lambda: decoder(header=b"YY"), "begins with none of its `header`"),
    ("numbers", lambda: decoder(packet_formats=(TWISTED,)), "3 numbers for the 2 labels of format fx"),
    ("clock", lambda: decoder(packet_formats=(ZONED,)), "expected a datetime without a zone"),
]


@pytest.mark.parametrize(("make", "sentence"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_a_strange_source_or_decoder_is_told(make: Callable[[], type], sentence: str) -> None:
    """What is wrong with it stands in one of the faults."""
    cls = make()
    found = find_faults(cls, packets=PACKETS if hasattr(cls, "decode_packet") else ())
    assert any(sentence in fault.text for fault in found), found


def test_without_a_fault_there_is_none() -> None:
    """The sink, the source and the decoder that the strange ones are made of conform, so they find their own faults."""
    assert [*find_faults(sink()), *find_faults(source()), *find_faults(decoder(), packets=PACKETS)] == []


def test_a_decoder_is_looked_at_with_packets() -> None:
    """Without a packet nothing can be said of a decoder, and that is said."""
    (fault,) = find_faults(decoder())
    assert "give `conforms` its `packets=`" in fault.text


def test_a_sink_that_sends_nothing_is_told() -> None:
    """Where no request comes, no answer of a service was looked at, and that is said."""
    (fault,) = find_faults(sink(url=setting(help="the address"), types={"url": str}))
    assert "of the readings of two meters it sends nothing to its service" in fault.text


@plugin(api=1)
class Polling:
    """Asks a service for the numbers of a meter."""

    packet_formats = (FORM,)

    url: str = setting(help="its address")

    @hookimpl
    def open(self) -> None:
        """Prepare."""
        self.client = Client(agent="polling", timeout=1)

    @hookimpl
    def collect(self, stop: threading.Event) -> Iterator[Reading]:
        """Ask."""
        while not stop.is_set():
            answer = self.client.send("GET", self.url)
            raise_for_answer(answer, (), "It")
            if not answer.body.isdigit():
                raise Retry("no number")
            yield Reading(datetime.now(UTC), FORM, "17", b"", numbers=(1, int(answer.body)))
            stop.wait(1)

    @hookimpl
    def close(self) -> None:
        """End."""
        self.client.close()


def test_a_source_that_polls_is_given_answers() -> None:
    """With a service that answers as the real one, it conforms; without, it brings nothing, and that is said."""
    with HostedService(Reply(200, "17")) as service:
        assert find_faults(Polling, {"url": service.url}, service=service) == ()
    (fault,) = find_faults(Polling)
    assert "it asks its service, and yields nothing: give `conforms` a `service`" in fault.text


def test_a_source_that_waits_for_a_service_for_ever_is_found() -> None:
    """A source without a bound on its requests does not stop while its service does not answer."""

    @plugin(api=1)
    class Waiting:
        """Waits as long as it takes."""

        packet_formats = (FORM,)

        url: str = setting(help="its address")

        @hookimpl
        def collect(self) -> Iterator[Reading]:
            """Ask once."""
            with urlopen(self.url) as answer:
                text = answer.read().decode()
            if not text.isdigit():
                raise Retry("no number")
            yield Reading(datetime.now(UTC), FORM, "17", b"", numbers=(1, int(text)))

    with HostedService(Reply(200, "17")) as service:
        found = find_faults(Waiting, {"url": service.url}, service=service)
    assert ["when its service never answers: `collect` does not end" in fault.text for fault in found] == [True]
