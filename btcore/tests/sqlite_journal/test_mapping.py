# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing to a file through a mapping: what it costs the file system, and that a file that was cut ends no program."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from btcore.sqlite_journal.files import tail
from btcore.sqlite_journal.files.mapping import Mapping, map_file
from btcore.sqlite_journal.files.tail import SIZE, Tail

PAGES = 16


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """Return a file of some pages, open."""
    file = tmp_path / "file"
    file.write_bytes(bytes(PAGES * mmap_page()))
    opened = os.open(file, os.O_RDWR)
    yield opened
    os.close(opened)


def mmap_page() -> int:
    """Return the bytes of a page of this computer."""
    return os.sysconf("SC_PAGE_SIZE")


def is_time_unchanged(mapped: Mapping, descriptor: int) -> bool:
    """Whether the second of two writes to a page leaves the time of change as it is."""
    mapped.write(b"first", 100)
    os.utime(descriptor, (0, 0))
    mapped.write(b"second", 200)
    return os.fstat(descriptor).st_mtime == 0


def test_what_is_written_is_in_the_file(descriptor: int) -> None:
    """Also what is larger than a portion, over the bounds of pages, and up to the end."""
    size = PAGES * mmap_page()
    data = os.urandom(size - 10)
    with closing(Mapping(descriptor, size)) as mapped:
        mapped.write(b"0123456789", 0)
        mapped.write(data, 10)
        mapped.write(b"", 5)
    assert os.pread(descriptor, size + 1, 0) == b"0123456789" + data


def test_a_write_does_not_change_the_time_of_a_page_that_waits(descriptor: int) -> None:
    """That is what a mapping is for; the system may write the page out in between, but not each time."""
    with closing(Mapping(descriptor, PAGES * mmap_page())) as mapped:
        assert any(is_time_unchanged(mapped, descriptor) for _ in range(5))


def test_a_file_that_was_cut_is_an_error_and_not_the_end(descriptor: int) -> None:
    """Whoever stores to such a mapping is killed by the system (SIGBUS)."""
    with closing(Mapping(descriptor, PAGES * mmap_page())) as mapped:
        os.ftruncate(descriptor, 0)
        with pytest.raises(OSError, match="Bad address"):
            mapped.write(b"something", 5000)


def test_a_file_that_is_too_short_or_cannot_be_written_is_not_mapped(descriptor: int, tmp_path: Path) -> None:
    """There is the other way to write to it."""
    size = PAGES * mmap_page()
    assert map_file(descriptor, size + 1) is None
    read_only = os.open(tmp_path / "file", os.O_RDONLY)
    assert map_file(read_only, size) is None
    os.close(read_only)


def test_a_mapping_leaves_nothing_open(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that is closed, nor one that could not be made."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    Mapping(descriptor, PAGES * mmap_page()).close()

    def fail() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", fail)
    assert map_file(descriptor, PAGES * mmap_page()) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_record_that_is_broken_off_is_not_mixed_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come between any two calls."""
    with closing(Tail(tmp_path / "journal.db")) as one:
        list(one.records())
        one.write(b"first", 1)

        def interrupt(*_: object) -> int:
            raise KeyboardInterrupt

        with monkeypatch.context() as interrupted:
            interrupted.setattr(os, "readv", interrupt)
            with pytest.raises(KeyboardInterrupt):
                one.write(b"broken off", 2)
        one.write(b"broken off, and more", 3)
    with closing(Tail(tmp_path / "journal.db")) as again:
        assert list(again.records()) == [b"first", b"broken off, and more"]
        assert not again.is_damaged


@pytest.mark.parametrize("is_mapped", [True, False])
def test_a_tail_is_the_same_with_a_mapping_and_without(
    tmp_path: Path, is_mapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is cut short while it is written goes on without; what is longer than the mapping comes after it."""
    if not is_mapped:
        monkeypatch.setattr(tail, "map_file", lambda *_: None)
    records = [os.urandom(5000) for _ in range(SIZE // 5000 + 20)]
    with closing(Tail(tmp_path / "journal.db")) as one:
        list(one.records())
        for n, record in enumerate(records, 1):
            one.write(record, n)
        assert one.size > SIZE
        assert not one.is_changed
    with closing(Tail(tmp_path / "journal.db")) as again:
        assert list(again.records()) == records
        assert not again.is_damaged
        os.truncate(tmp_path / "journal.db-tail", 0)
        again.clear()
        os.truncate(tmp_path / "journal.db-tail", 0)
        again.write(b"a record", len(records) + 1)
        assert again.is_gone
