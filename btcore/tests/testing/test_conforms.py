# SPDX-License-Identifier: GPL-3.0-or-later
"""`conforms` finds what is wrong with a stranger's plugin: planted faults, each with a sentence that helps."""

import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from btcore import (
    Batch,
    Channel,
    Chunk,
    Duration,
    Format,
    Incomplete,
    Packet,
    Problem,
    Retry,
    Secret,
    Stop,
    hookimpl,
    plugin,
    setting,
)
from btcore.testing import DoesNotConform, HostedService, Reply, conforms, find_faults

OPENED: list[object] = []


@attrs.define(kw_only=True, eq=False, slots=False)
class Uploader:
    """What all uploaders here are made of: one without a fault."""

    url: str = setting(help="where to send it", example="https://example.com/energy")
    token: Secret = setting(help="the key")  # noqa: RUF009 - as above
    timeout: Duration = setting(default=Duration(15), help="the longest wait")  # noqa: RUF009 - as above

    def rows(self, batch: Batch) -> list[dict[str, Any]]:
        """Return what is sent."""
        return [{"meter": one.serial, "key": one.newer.key, "watts": one.get("ch1_w")} for one in batch.samples]

    def send(self, rows: list[dict[str, Any]]) -> int:
        """Send rows; return the code of the answer. Raises Retry or OSError."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.timeout)
        until = time.monotonic() + self.timeout
        try:
            connection.request("POST", "/", json.dumps(rows), {"Authorization": self.token.reveal()})
            answer = connection.getresponse()
            while answer.read1(1):
                if time.monotonic() > until:
                    raise Retry("it takes too long")
        except http.client.HTTPException as error:
            raise Retry(f"no answer: {type(error).__name__}") from None
        finally:
            connection.close()
        return answer.status

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send all samples."""
        rows = self.rows(batch)
        code = self.send(rows) if rows else 200
        if code in (401, 403, 404):
            raise Stop(f"it answers {code}")
        if code >= 300:
            raise Retry(f"it answers {code}")
        return batch.sampled


@plugin(api=1)
class Faultless(Uploader):
    """Has no fault."""


@plugin(api=1)
class Undocumented(Uploader):
    """Has a setting without help."""

    colour: str = "red"


@plugin(api=1)
class WrongDefault(Uploader):
    """Has a default that its own validator refuses."""

    port: int = setting(default=0, help="a port", validator=attrs.validators.ge(1))


@plugin(api=1)
class Hasty(Uploader):
    """Opens a socket when it is made."""

    def __attrs_post_init__(self) -> None:
        OPENED.append(socket.create_server(("127.0.0.1", 0)))


@plugin(api=1)
class Misspelt(Uploader):
    """Has a hook that there is not."""

    @hookimpl
    def proces_batch(self, batch: Batch) -> None:
        """Never be called."""


@plugin(api=1)
class Careless(Uploader):
    """Does not look at the answer."""

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send all samples."""
        if rows := self.rows(batch):
            self.send(rows)
        return batch.sampled


@plugin(api=1)
class Unclassified(Uploader):
    """Raises what the core takes for a bug."""

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send all samples."""
        rows = self.rows(batch)
        if rows and (code := self.send(rows)) >= 300:
            raise RuntimeError(f"the answer is {code}")
        return batch.sampled


@plugin(api=1)
class Doubling(Uploader):
    """Sends the time now in place of the reading's, so that the same batch is stored twice."""

    def rows(self, batch: Batch) -> list[dict[str, Any]]:
        """Return what is sent."""
        return [{**row, "key": time.time_ns()} for row in super().rows(batch)]


@plugin(api=1)
class Talkative(Uploader):
    """Shows its key in an error."""

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send all samples."""
        rows = self.rows(batch)
        if rows and (code := self.send(rows)) >= 300:
            raise Retry(f"{code} with the key {self.token.reveal()}")
        return batch.sampled


@plugin(api=1)
class Leaving(Uploader):
    """Leaves a thread and a socket behind."""

    @hookimpl
    def open(self) -> None:
        """Open what is never closed."""
        self.left = socket.create_server(("127.0.0.1", 0))
        OPENED.append(self.left)


@plugin(api=1)
class Curious(Uploader):
    """Asks the network while its settings are checked."""

    def check(self) -> Iterator[Problem]:
        """Look whether the host is there."""
        try:
            socket.create_connection(("192.0.2.1", 80), 1).close()
        except OSError as error:
            yield Problem(f"cannot be reached: {error}", key="url", warning=True)


@plugin(api=1)
class Calculating(Uploader):
    """Calculates with numbers that may be None."""

    def rows(self, batch: Batch) -> list[dict[str, Any]]:
        """Return what is sent."""
        return [{"meter": one.serial, "key": one.newer.key, "kw": one.get("ch1_w") / 1000} for one in batch.samples]  # type: ignore[operator]


PLANTED = [
    (Undocumented, "declaration", "the field `colour` is no setting: declare it with setting(help=...)"),
    (WrongDefault, "declaration", "the setting `port` has a default that a configuration could not have: expected a"),
    (Hasty, "init", "it listens on 127.0.0.1:0; do that in the hook `open`"),
    (Misspelt, "declaration", '"proces_batch"; did you mean "process_batch"?'),
    (Careless, "answer", "when the service is down (503): it returns, so the batch counts as delivered and is lost"),
    (Unclassified, "answer", "raises RuntimeError: the answer is 503, which the core takes for a bug; raise Retry"),
    (Doubling, "twice", "send nothing that changes, such as the time now"),
    (Talkative, "secret", "a secret of its settings stands in the text of an error: keep it in a Secret"),
    (Leaving, "close", "`close` leaves something behind: a socket; close what `open` opened"),
    (Curious, "check", "`check` uses the network: it looks up 192.0.2.1; `btcore check` needs none"),
    (Calculating, "none", "a value that is not known is None: leave it out"),
]


@pytest.fixture(autouse=True)
def _closing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what the faulty ones leave open; wait for it a shorter time."""
    monkeypatch.setattr("btcore.testing.conformance.lifetimes.PATIENCE", 0.5)
    yield
    for one in OPENED:
        one.close()  # type: ignore[attr-defined]
    OPENED.clear()


def test_what_has_no_fault_conforms() -> None:
    """A class that does all that a sink has to is let through, without any settings given."""
    conforms(Faultless)


@pytest.mark.parametrize(("cls", "code", "sentence"), PLANTED, ids=[cls.__name__ for cls, *_ in PLANTED])
def test_a_planted_fault_is_found(cls: type, code: str, sentence: str) -> None:
    """Each fault fails `conforms`, with a sentence that says what is wrong, and no fault of another kind beside it."""
    with pytest.raises(DoesNotConform) as raised:
        conforms(cls)
    assert sentence in str(raised.value)
    assert {fault.code for fault in raised.value.faults} == {code}


def test_all_faults_are_reported_at_once() -> None:
    """A plugin with ten faults fails once, with at least ten sentences."""

    @plugin(api=1)
    class Everything(Leaving, Curious, Undocumented, WrongDefault, Doubling, Talkative):
        """Has most of them."""

        password: str = setting(default="", help="A word.")
        interval: int = setting(default=1, help="how often")

        def close(self) -> None:
            """Be no hook."""

        @hookimpl
        def process_batch(self, batch: Batch) -> int:
            """Send all samples, and count them twice."""
            rows = self.rows(batch)
            if rows and self.send(rows) == 503:
                raise KeyError(self.token.reveal())
            return 2 * batch.sampled

    found = find_faults(Everything)
    assert len({fault.text for fault in found}) >= 10, "\n".join(map(str, found))
    assert {fault.code for fault in found} >= {"declaration", "check", "twice", "answer", "secret", "outcome", "close"}


def test_a_thread_that_is_left_is_named() -> None:
    """A thread that `close` does not end is found by its name."""
    over = threading.Event()

    @plugin(api=1)
    class Threaded(Uploader):
        """Leaves a thread behind."""

        @hookimpl
        def open(self) -> None:
            """Start it."""
            threading.Thread(target=over.wait, name="the postman", daemon=True).start()

    found = find_faults(Threaded)
    over.set()
    assert ['the thread "the postman"' in fault.text for fault in found] == [True]


def test_a_service_of_one_s_own_is_used() -> None:
    """Where a service is given, it gets the requests, and its answers are what is classified."""
    with HostedService(Reply(200, "ok")) as service:
        conforms(Faultless, {"url": service.url, "token": "a-key-of-the-test"}, service=service)
        assert {one.headers["authorization"] for one in service.requests} == {"a-key-of-the-test"}


def test_what_is_stored_twice_is_found(tmp_path: Path) -> None:
    """A sink that appends each batch to a file is found by what `stored` returns."""

    @plugin(api=1)
    class Appending:
        """Appends each reading to a file."""

        file: Path = setting(help="the file")

        @hookimpl
        def process_batch(self, batch: Batch) -> None:
            """Append."""
            with self.file.open("a") as file:
                file.writelines(f"{one.key}\n" for one in batch.readings)

    file = tmp_path / "readings"
    found = find_faults(Appending, {"file": str(file)}, stored=lambda: len(file.read_text().splitlines()))
    assert [fault.code for fault in found] == ["twice"]
    assert "is stored twice" in found[0].text


@plugin(api=1)
class Clumsy:
    """Fails in odd ways: its errors have no text, its repr fails, and so does `close`."""

    @hookimpl
    def open(self) -> None:
        """Start what is not waited for."""
        self.program = subprocess.Popen(["sleep", "60"])
        OPENED.append(Ending(self.program))

    @hookimpl
    def process_batch(self) -> None:
        """Fail, and fail to say why."""

        class SilentError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        raise SilentError

    @hookimpl
    def close(self) -> None:
        """Fail."""
        raise ValueError("cannot close")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@attrs.frozen
class Ending:
    """Ends a program."""

    program: subprocess.Popen[bytes]

    def close(self) -> None:
        """Kill it."""
        self.program.kill()
        self.program.wait()


def test_a_clumsy_plugin_does_not_break_it() -> None:
    """Whatever a plugin raises, and wherever, is a fault, and not an error of `conforms`."""
    found = find_faults(Clumsy)
    texts = " ".join(fault.text for fault in found)
    assert "its repr fails: RuntimeError: no repr" in texts
    assert "process_batch fails with the readings of two meters: SilentError" in texts
    assert "`close` fails: ValueError: cannot close" in texts
    assert "the process " in texts


@pytest.mark.usefixtures("_short_patience")
def test_a_sink_that_hangs_is_looked_at_no_further() -> None:
    """A call that does not return is a fault, the last one."""
    over = threading.Event()

    @plugin(api=1)
    class Hanging:
        """Waits for ever."""

        @hookimpl
        def process_batch(self) -> None:
            """Wait."""
            over.wait()

    found = find_faults(Hanging)
    over.set()
    assert ["it has not returned for 2 s; time out" in fault.text for fault in found] == [True]


@pytest.mark.parametrize("what", [5, None, dict, "no-such-plugin", Ending])
def test_what_is_no_plugin_is_a_fault(what: object) -> None:
    """What is no plugin class, no instance of one and no name of one is said to be none."""
    (fault,) = find_faults(what)
    assert fault.code == "declaration"


def test_nothing_is_written_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is a default is in a folder of `conforms`, as it is beside the configuration in a run."""
    monkeypatch.chdir(tmp_path)

    @plugin(api=1)
    class Writing:
        """Writes into a directory."""

        dir: Path = setting(default=Path("written"), help="the directory")

        @hookimpl
        def process_batch(self, batch: Batch) -> None:
            """Write."""
            self.dir.mkdir(exist_ok=True)
            for one in batch.readings:
                (self.dir / f"{one.serial}-{one.key}").touch()

    conforms(Writing)
    assert list(tmp_path.iterdir()) == []


def test_an_instance_may_be_given() -> None:
    """The settings of an instance are those that are looked at."""
    with HostedService() as service:
        conforms(Faultless(url=service.url, token=Secret("another-key")), service=service)
        assert {one.headers["authorization"] for one in service.requests} == {"another-key"}


@plugin(api=1)
class Yielding:
    """A source that yields a chunk, or what is none."""

    what: str = setting(default="", help="what it yields")

    @hookimpl
    def collect(self) -> Iterator[Any]:
        """Yield it, and end."""
        yield self.what or Chunk(b"")


def test_a_source_that_yields_something_else_is_found() -> None:
    """What a source yields is a Chunk, a Reading or a SourceCheckpoint."""
    conforms(Yielding)
    assert ["yields a str ('bytes')" in fault.text for fault in find_faults(Yielding, {"what": "bytes"})] == [True]


@pytest.mark.usefixtures("_short_patience")
def test_a_source_that_does_not_stop_is_found() -> None:
    """A source that waits without looking at `stop` is found, and `conforms` ends all the same."""
    over = threading.Event()

    @plugin(api=1)
    class Deaf:
        """Waits for something else."""

        @hookimpl
        def collect(self) -> Iterator[Chunk]:
            """Wait."""
            over.wait()
            yield Chunk(b"")

    found = find_faults(Deaf)
    over.set()
    assert any("`collect` does not end when `stop` is set" in fault.text for fault in found)


@pytest.fixture
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("btcore.testing.conformance.calls.PATIENCE", 2.0)


LINE = Format(
    "kitline", ("secs", "pv_ws"), (Channel("pv", "pv_ws", directional=False),), lambda raw: (int(raw[2:6]), 1)
)


@attrs.define(kw_only=True, eq=False, slots=False)
class Lines:
    """What decoders here are made of: `L:0017.` is a packet."""

    header = b"L:"
    packet_formats = (LINE,)

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | None:
        """Look for a line."""
        raw = bytes(buffer[:7])
        if not (raw + b"L:"[len(raw) :]).startswith(b"L:"):
            return None
        return Packet(7, LINE, "17", raw) if raw[6:] == b"." and raw[2:6].isdigit() else self.otherwise(raw)

    def otherwise(self, raw: bytes) -> Incomplete | None:
        """Answer to what is no packet."""
        return Incomplete() if len(raw) < 7 else None


@plugin(api=1)
class Pure(Lines):
    """Decodes lines."""


@plugin(api=1)
class Impatient(Lines):
    """Says of a beginning that it is not its own."""

    def otherwise(self, raw: bytes) -> None:
        """Know of no beginnings."""


@plugin(api=1)
class Fragile(Lines):
    """Fails with what is not its own."""

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | None:
        """Look without a look."""
        return super().decode_packet(buffer) if buffer[0] else None


@plugin(api=1)
class Keeping(Lines):
    """Keeps the buffer."""

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | None:
        """Keep it."""
        self.kept = buffer[:1]
        return super().decode_packet(buffer)


def test_a_decoder_conforms() -> None:
    """A decoder that finds its packets in any pieces, and takes nothing else, is let through."""
    conforms(Pure, packets=[b"L:0017.", b"L:0018."])


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (Impatient, "it says of the first 3 bytes of a packet that they are not its own"),
        (Fragile, "with nothing: decode_packet fails: IndexError"),
        (Keeping, "keeps a part of the buffer"),
    ],
)
def test_a_decoder_s_fault_is_found(cls: type, sentence: str) -> None:
    """What a decoder must not do is found, with a sentence that says what."""
    found = find_faults(cls, packets=[b"L:0017.", b"L:0018."])
    assert any(sentence in fault.text for fault in found), found
