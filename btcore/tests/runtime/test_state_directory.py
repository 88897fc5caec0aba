# SPDX-License-Identifier: GPL-3.0-or-later
"""A state directory belongs to one configuration, and is given up only when that is gone; one program uses it."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import attrs
import pytest
from helpers.fake_plugins import RecordingSink
from helpers.sites import finite_source, make_sink, make_site, make_source

from btcore.cli import CONFIGURATION, OK, main
from btcore.config.site import Site
from btcore.control import SOCKET
from btcore.errors import ConfigurationError, Unavailable
from btcore.journal.memory import MemoryJournal
from btcore.runtime import state_directory
from btcore.runtime.supervisor import Supervisor
from btcore.workers.journal_watch import JournalWatch


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return an empty state directory."""
    made = tmp_path / "state"
    made.mkdir()
    return made


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Return a configuration."""
    return written(tmp_path / "ours.toml")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return another configuration."""
    return written(tmp_path / "other.toml")


def written(file: Path) -> Path:
    """Make a file."""
    file.write_text("")
    return file


def test_the_first_to_come_has_it_for_good(state: Path, ours: Path) -> None:
    """The first configuration is noted, by its whole path, for its owner alone to read; nothing is told."""
    assert [state_directory.claim(state, ours) for _ in range(3)] == ["", "", ""]
    assert (state / state_directory.NOTE_FILE).read_text() == f"{ours}\n"
    assert (state / state_directory.NOTE_FILE).stat().st_mode & 0o777 == 0o600


def test_another_configuration_is_refused_with_what_to_write(state: Path, ours: Path, other: Path) -> None:
    """It is told the directory, the other file, and the line to write; the note stays."""
    state_directory.claim(state, other)
    for take in (state_directory.claim, state_directory.check):
        with pytest.raises(ConfigurationError) as caught:
            take(state, ours)
        (problem,) = caught.value.problems
        assert (problem.key, problem.file) == ("state", str(ours))
        assert problem.message.startswith(f"the state directory {state} belongs to {other}, ")
        assert 'write state = "ours-state" at the top of this file' in problem.message
    assert (state / state_directory.NOTE_FILE).read_text() == f"{other}\n"


def test_under_a_service_manager_the_line_is_within_its_directory(
    state: Path, ours: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a service may write nowhere else, the state that is proposed is below its own directory."""
    state_directory.claim(state, other)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/btcore:/var/lib/more")
    with pytest.raises(ConfigurationError, match='write state = "/var/lib/btcore/ours" at the top'):
        state_directory.claim(state, ours)


def test_it_is_taken_over_where_the_other_is_gone(state: Path, ours: Path, other: Path) -> None:
    """A configuration that was renamed or moved away keeps its state, which is said in one line, once."""
    state_directory.claim(state, other)
    other.rename(ours)
    state_directory.check(state, ours)
    told = state_directory.claim(state, ours)
    assert told == f"the state directory {state} belonged to {other}, which no longer exists; it now belongs to {ours}"
    assert state_directory.claim(state, ours) == ""


def test_a_new_file_at_the_same_path_is_the_same_configuration(state: Path, ours: Path) -> None:
    """A copy in its place, as an editor makes it, is no other configuration; nor is it by another way to the file."""
    state_directory.claim(state, ours)
    written(ours.with_name("copy")).replace(ours)
    link = ours.with_name("link.toml")
    link.symlink_to(ours)
    assert (state_directory.claim(state, ours), state_directory.claim(state, link)) == ("", "")
    assert (state / state_directory.NOTE_FILE).read_text() == f"{ours}\n"


def test_a_relative_path_is_noted_as_a_whole_one(state: Path, ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was started from, the same file is the same."""
    monkeypatch.chdir(ours.parent)
    state_directory.claim(state, Path("ours.toml"))
    monkeypatch.chdir(state)
    assert state_directory.claim(state, Path("../ours.toml")) == ""


@pytest.mark.parametrize("note", [b"", b"\n", b"ours.toml\n", b"/a\0b\n", b"\xff\xfe", b"x" * 9999])
def test_a_note_that_is_none_is_written_anew(state: Path, ours: Path, note: bytes) -> None:
    """What is no whole path names no configuration."""
    (state / state_directory.NOTE_FILE).write_bytes(note)
    assert state_directory.claim(state, ours) == ""
    assert (state / state_directory.NOTE_FILE).read_text() == f"{ours}\n"


def test_a_path_that_is_not_utf_8_is_noted(state: Path, tmp_path: Path) -> None:
    """Any name that a file may have can be noted."""
    odd = written(tmp_path / os.fsdecode(b"gr\xf6\xdfe.toml"))
    state_directory.claim(state, odd)
    assert state_directory.claim(state, odd) == ""
    assert os.fsencode(odd) in (state / state_directory.NOTE_FILE).read_bytes()


def test_what_comes_over_a_pipe_is_not_noted(state: Path, other: Path, tmp_path: Path) -> None:
    """A configuration that is no file has no path to be known by, but may not use another's state either."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert state_directory.claim(state, pipe) == ""
    assert not (state / state_directory.NOTE_FILE).exists()
    state_directory.claim(state, other)
    with pytest.raises(ConfigurationError):
        state_directory.claim(state, pipe)


def sited(state: Path, file: Path) -> Site:
    """Return a site of this configuration."""
    return attrs.evolve(make_site(state, make_source(finite_source()), make_sink(RecordingSink())), file=file)


def test_a_run_takes_the_state_and_leaves_another_s_alone(
    state: Path, ours: Path, other: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run on another's state is refused before the journal is opened; where the other is gone, that is logged."""
    Supervisor(sited(state, other), Event(), once=True).run()
    before = sorted(state.iterdir())
    with pytest.raises(ConfigurationError):
        Supervisor(sited(state, ours), Event(), once=True).run()
    assert sorted(state.iterdir()) == before
    other.unlink()
    assert Supervisor(sited(state, ours), Event(), once=True).run()
    assert [f"it now belongs to {ours}" in text for text in caplog.messages] == [True]


def test_a_note_that_cannot_be_written_costs_no_reading(
    state: Path, ours: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the note cannot be written, that is told, and the run goes on."""
    (state / f"{state_directory.NOTE_FILE}.new").mkdir()
    assert Supervisor(sited(state, ours), Event(), once=True).run()
    assert caplog.messages == [
        f"cannot note in the state directory {state} which configuration it belongs to: Is a directory"
    ]


def test_check_tells_it_and_writes_nothing(
    state: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`btcore check` finds what `run` would refuse, with the exit code of a wrong configuration, also as JSON."""
    file = tmp_path / "ours.toml"
    file.write_text('state = "state"\n[source.simulator]\n[sink.sqlite]\nfile = "no/energy.db"\n')
    assert main(["check", str(file)]) == OK
    assert list(state.iterdir()) == []
    state_directory.claim(state, other)
    assert main(["check", str(file)]) == CONFIGURATION
    warned, told = capsys.readouterr().err.splitlines()[-2:]
    assert f"the directory {tmp_path}/no does not exist" in warned
    assert told.startswith(f"{file}: state: the state directory {state} belongs to {other}")
    assert main(["check", "--json", str(file)]) == CONFIGURATION
    assert '"ok": false' in capsys.readouterr().out


# --- the lock


def test_a_command_that_has_the_lock_is_waited_for(state: Path) -> None:
    """A start in the moment in which `status` looks into the journal is not refused."""
    held = state_directory.lock(state)
    found: list[int] = []
    starting = threading.Thread(target=lambda: found.append(state_directory.lock(state)))
    starting.start()
    assert found == []
    os.close(held)
    starting.join(20)
    os.close(found[0])


def test_a_program_that_has_the_lock_is_not_waited_for(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a socket; nor is a command waited for that takes long."""
    held = state_directory.lock(state)
    monkeypatch.setattr(state_directory, "LOCK_PATIENCE", 0.2)
    with pytest.raises(Unavailable, match="another btcore is using"):
        state_directory.lock(state)
    monkeypatch.setattr(state_directory, "LOCK_PATIENCE", 1e9)
    (state / SOCKET).touch()
    with pytest.raises(Unavailable, match="another btcore is using"):
        state_directory.lock(state)
    os.close(held)


@pytest.fixture
def lock(state: Path) -> Iterator[state_directory.Lock]:
    """Lock the state directory, as a running program does."""
    with closing(state_directory.Lock(state)) as held:
        yield held


def test_no_file_is_removed_to_get_round_the_lock(state: Path, lock: state_directory.Lock) -> None:
    """Where `lock` was removed, a second program is refused as before, and the file comes back."""
    (state / "lock").unlink()
    with pytest.raises(Unavailable, match="another btcore is using"):
        state_directory.lock(state)
    assert lock.check() == ""
    assert (state / "lock").exists()


def test_a_look_at_the_lock_writes_nothing(state: Path, lock: state_directory.Lock) -> None:
    """It is done each second: a file whose time is set then is written down by the file system each five seconds."""
    os.utime(state / "lock", (0, 0))
    assert not lock.check()
    assert (state / "lock").stat().st_mtime == 0


def test_a_directory_that_was_removed_is_locked_again(state: Path, lock: state_directory.Lock) -> None:
    """It is made again, which is said once, and a second program is refused."""
    shutil.rmtree(state)
    assert "was removed while btcore used it: it was made again, and locked" in lock.check()
    assert lock.check() == ""
    with pytest.raises(Unavailable, match="another btcore is using"):
        state_directory.lock(state)


def test_a_program_whose_directory_another_has_by_now_ends(
    state: Path, lock: state_directory.Lock, caplog: pytest.LogCaptureFixture
) -> None:
    """Two programs never write to one journal: the one that was robbed ends, and says why."""
    shutil.rmtree(state)
    other = state_directory.lock(state)
    stop = Event()
    watch = JournalWatch(MemoryJournal(), lock.check, stop)
    watch.turn()
    watch.turn()
    os.close(other)
    assert stop.is_set()
    assert watch.failure in caplog.text
    assert caplog.text.count("this one ends, so that not both write") == 1
