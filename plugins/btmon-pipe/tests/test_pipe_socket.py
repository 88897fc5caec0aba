# SPDX-License-Identifier: GPL-3.0-or-later
"""A Unix socket: at its other end programs that read, hang up, hang and refuse."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.metered import batch_of, readings

from btcore import Batch, DiagnosisContext, Duration, Reject, Retry
from btcore.testing import wait_for
from btmon_pipe.unix_socket import PipeSocket

pytestmark = pytest.mark.servers

BATCH = batch_of(readings(41))

Talk = Callable[[socket.socket], None]


class Listener:
    """A program that listens at a socket; `talks` are what it does with one connection after the other."""

    def __init__(self, path: Path, *talks: Talk) -> None:
        """Listen."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._talks = talks
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            for talk in self._talks:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    talk(connection)

    def close(self) -> None:
        """End."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.thread.join()


@contextmanager
def listening(path: Path, *talks: Talk) -> Iterator[Listener]:
    """Listen at a path while the block runs."""
    listener = Listener(path, *talks)
    try:
        yield listener
    finally:
        listener.close()


def keeping(lines: list[bytes], answer: bytes = b"", count: int = -1) -> Talk:
    """Keep so many lines, or all; answer each."""

    def talk(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            left = count
            while left and (line := stream.readline()):
                lines.append(line)
                connection.sendall(answer)
                left -= 1

    return talk


def keys(lines: list[bytes]) -> list[int]:
    """Return the keys of lines."""
    return [json.loads(line)["key"] for line in lines]


def keys_of(batch: Batch) -> list[int]:
    """Return the keys of a batch's samples."""
    return [sample.newer.key for sample in batch.samples]


def test_every_line_arrives(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """By one connection, over several batches."""
    lines: list[bytes] = []
    with listening(tmp_path / "s", keeping(lines)):
        sink = opened(PipeSocket, path=tmp_path / "s")
        later = batch_of(readings(3, start=1_800_000_000))
        assert [sink.process_batch(BATCH), sink.process_batch(later)] == [40, 2]
        sink.close()
        wait_for(lambda: len(lines) == 42, "all lines")
    assert keys(lines) == keys_of(BATCH) + keys_of(later)


def test_a_program_that_hangs_up_in_the_middle_gets_every_line_once(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """With acknowledgements the next connection goes on behind the last of them."""
    lines: list[bytes] = []
    talks = [keeping(lines, b"ok\n", 15), keeping(lines, b"ok\n", 15), keeping(lines, b"ok\n")]
    with listening(tmp_path / "s", *talks):
        sink = opened(PipeSocket, path=tmp_path / "s", acknowledge=True)
        for _ in range(2):
            with pytest.raises(Retry, match=r"the program at .*/s closed the connection"):
                sink.process_batch(BATCH)
        assert sink.process_batch(BATCH) == 40
        sink.close()
    assert keys(lines) == keys_of(BATCH)


def test_a_program_that_has_hung_up_is_connected_to_again(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """Without acknowledgements too, a batch is not delivered to a connection that is closed."""
    lines: list[bytes] = []
    first = threading.Event()

    def hang_up(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)
        first.set()

    with listening(tmp_path / "s", hang_up, keeping(lines)):
        sink = opened(PipeSocket, path=tmp_path / "s")
        sink._connect()
        assert first.wait(60)
        with pytest.raises(Retry, match="closed the connection"):
            sink.process_batch(BATCH)
        sink.process_batch(BATCH)
        sink.close()
        wait_for(lambda: len(lines) == 40, "all lines")


def test_a_program_that_reads_nothing_is_given_up(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """After the time-out; the readings are tried again."""
    end = threading.Event()
    with listening(tmp_path / "s", lambda _: wait_for(end.is_set)):
        sink = opened(PipeSocket, path=tmp_path / "s", timeout=Duration(0.3))
        with pytest.raises(Retry, match=r"the program at .*/s took nothing for 0.3 s"):
            sink.process_batch(batch_of(readings(300, form="gem48ptbin")))
        end.set()


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"reject bad\n", Reject, "answered reject: bad"),
        (b"retry\n", Retry, "answered retry: no reason given"),
        (b"\xff\n", Retry, "expected ok, retry or reject for each line"),
        (b"x" * 2000, Retry, "expected ok, retry or reject for each line"),
    ],
)
def test_an_answer_means_what_it_says(
    opened: Any,  # noqa: ANN401 - fixture
    tmp_path: Path,
    answer: bytes,
    error: type[Exception],
    text: str,
) -> None:
    """As for a program's standard output."""
    with listening(tmp_path / "s", keeping([], answer)):
        sink = opened(PipeSocket, path=tmp_path / "s", acknowledge=True)
        with pytest.raises(error, match=text):
            sink.process_batch(BATCH)
        sink.close()


def test_what_nobody_asked_for_is_ignored(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """A program may send what it likes where no acknowledgement is wanted."""
    lines: list[bytes] = []
    with listening(tmp_path / "s", keeping(lines, b"hello\n")):
        sink = opened(PipeSocket, path=tmp_path / "s")
        assert [sink.process_batch(BATCH), sink.process_batch(batch_of(readings(3, start=1_800_000_000)))] == [40, 2]
        sink.close()
        wait_for(lambda: len(lines) == 42, "all lines")


def test_where_nobody_listens_the_readings_wait(opened: Any, tmp_path: Path) -> None:  # noqa: ANN401 - fixture
    """Whether there is no socket, or one that is left over; doctor says the same."""
    sink = opened(PipeSocket, path=tmp_path / "s")
    with pytest.raises(Retry, match=r"nobody listens at .*/s: No such file or directory"):
        sink.process_batch(BATCH)
    with listening(tmp_path / "s"):
        pass
    with pytest.raises(Retry, match=r"nobody listens at .*/s: Connection refused"):
        sink.process_batch(BATCH)
    context = DiagnosisContext(name="sink.local")
    assert [one.code for one in PipeSocket(path=tmp_path / "s").diagnose(context)] == ["unreachable"]
    with listening(tmp_path / "t", keeping([])):
        assert list(PipeSocket(path=tmp_path / "t").diagnose(context)) == []
