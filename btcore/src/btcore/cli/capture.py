# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore capture`: records what comes in on a source, for `btcore decode`, the source `file`, or a report.

A running program is asked for the bytes as they come in; otherwise the source is opened.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TextIO

import attrs

from btcore.capture.files import capture_line
from btcore.capture.obfuscation import Obfuscation
from btcore.cli import OK, SITE, UNAVAILABLE, add_seconds, standard_output
from btcore.config.load import load_site
from btcore.config.site import Site, Source
from btcore.control.client import NotRunning, ask
from btcore.errors import Stop, Unavailable
from btcore.logs.handler import say
from btcore.records import Chunk
from btcore.runtime import state_directory
from btcore.runtime.listening import Listening
from btcore.runtime.signals import stop_on_signals
from btcore.text import describe_error, plural

SECONDS = 60.0

MAX_BYTES = 100_000_000
"""Bytes of a capture that is obfuscated: it is kept in memory until its end."""

STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="the source (default: the only one)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the file to write; -: standard output")
    parser.add_argument(
        "--config", type=Path, default=SITE, metavar="FILE", help=f"the configuration (default: {SITE})"
    )
    add_seconds(parser, SECONDS, "for how long")
    parser.add_argument("--obfuscate", action="store_true", help="replace the serial numbers, and keys in text")


def main(args: argparse.Namespace) -> int:
    """Record; return 0, or 69 where nothing came in. Raises ConfigurationError, Unavailable."""
    site = load_site(args.config)
    state_directory.check(site.state, site.file)
    source = _source(site, args.source)
    stop = Event()
    stop_on_signals(stop)
    with _output(args.output) as out:
        say(f"recording {source.table} for {args.seconds:g} s; Ctrl-C ends it")
        chunks = _chunks(site, source, args.seconds, stop)
        size, count = _write(out, _obfuscated(chunks) if args.obfuscate else chunks)
    if not size:
        say(f"nothing came in by {source.table}: `btcore doctor` may tell why")
        return UNAVAILABLE
    say(f"{plural(count, 'chunk')}, {plural(size, 'byte')} in {args.output}")
    return OK


def _source(site: Site, name: str | None) -> Source:
    """Return the source of a name. Raises Unavailable."""
    names = ", ".join(source.name for source in site.sources)
    if name is None and len(site.sources) > 1:
        raise Unavailable(f"which source? There are {names}")
    found = [source for source in site.sources if name in (None, source.name, source.table)]
    if not found:
        raise Unavailable(f"there is no source {name!r} in {site.file}; there are {names}")
    return found[0]


@contextmanager
def _output(path: str) -> Iterator[TextIO]:
    """Open what to write to; a file that stays empty is removed. Raises Unavailable."""
    if path == STDOUT:
        yield standard_output()
        return
    out = _create(path)
    try:
        yield out
    finally:
        _close(out, Path(path))


def _create(path: str) -> TextIO:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # what a house uses is private
    except FileExistsError:
        raise Unavailable(f"{path} exists already: name another file") from None
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from None
    return os.fdopen(descriptor, "w")


def _close(out: TextIO, path: Path) -> None:
    try:
        out.close()
    except OSError as error:  # also after a write that failed: what it could not write is tried again
        raise _unwritable(error) from None
    finally:
        with suppress(OSError):
            if path.stat().st_size == 0:  # so that the same command can be given again
                path.unlink()


def _unwritable(error: OSError) -> Unavailable:
    return Unavailable(f"cannot write the capture: {error.strerror or error}")


def _write(out: TextIO, chunks: Iterator[Chunk]) -> tuple[int, int]:
    size = count = 0
    try:
        for chunk in chunks:
            out.write(capture_line(chunk))
            out.flush()
            size, count = size + len(chunk.data), count + 1
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from None
    return size, count


def _obfuscated(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Yield chunks with other serial numbers, once all are there. Raises Unavailable for too many."""
    kept: list[Chunk] = []
    size = 0
    for chunk in chunks:
        kept.append(chunk)
        size += len(chunk.data)
        if size > MAX_BYTES:
            raise Unavailable(f"more than {MAX_BYTES} bytes came in: record for a shorter time")
    obfuscation = Obfuscation()
    yield from obfuscation.of(kept)
    say(f"{plural(len(obfuscation.numbers), 'serial number')} replaced")
    if obfuscation.outside:
        say(f"{plural(obfuscation.outside, 'byte')} outside of any packet: look at them before you pass them on")


def _chunks(site: Site, source: Source, seconds: float, stop: Event) -> Iterator[Chunk]:
    """Yield what comes in, from the running program if there is one. Raises Unavailable."""
    try:
        yield from _of_program(site, source, seconds, stop)
    except NotRunning:
        yield from _of_source(site, source, seconds, stop)


def _of_program(site: Site, source: Source, seconds: float, stop: Event) -> Iterator[Chunk]:
    lost = 0
    for answer in ask(site.state, "capture", source=source.table, seconds=seconds):
        lost = answer.get("lost", lost)
        if "hex" in answer:
            time = datetime.fromtimestamp(answer["time"], UTC) if answer["time"] is not None else None
            yield Chunk(bytes.fromhex(answer["hex"]), answer["stream"], time)
        if stop.is_set():
            break
    if lost:
        say(f"{plural(lost, 'chunk')} lost: they came in faster than they were written")


def _of_source(site: Site, source: Source, seconds: float, stop: Event) -> Iterator[Chunk]:
    """Open the source of a site that does not run, and hold the lock meanwhile if there is one."""
    with ExitStack() as held:
        if state_directory.is_used(site.state):
            held.callback(os.close, state_directory.lock(site.state))
        try:
            for chunk in Listening(site, source, stop).chunks(seconds):
                if chunk.data:
                    yield attrs.evolve(
                        chunk, time=chunk.time or (None if chunk.clock else datetime.now(UTC)), clock=None
                    )
        except (Unavailable, Stop):
            raise
        except Exception as error:
            raise Unavailable(f"{source.table}: {describe_error(error)}") from error
