# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore as a process: signals, exit codes, and no secret in anything that it tells."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.distributions import install_distribution
from helpers.golden_streams import stream_file
from helpers.sites import stored_offset

from btcore.testing import BtcoreProcess, wait_for

PLUGINS = """
    import time
    from datetime import UTC, datetime
    from pathlib import Path
    from urllib.parse import quote, quote_plus
    import base64

    from btcore import Chunk, Retry, Secret, hookimpl, pack, plugin, setting

    @plugin(api=1)
    class Hold:
        # a sink that writes down what it is given, and lets go of it when it may
        file: Path = setting(help="where to write")

        @hookimpl
        def process_batch(self, batch):
            with self.file.open("a") as out:
                out.write(f"given {len(batch.readings)}\\n")
                out.flush()
                while not self.file.with_name("release").exists():
                    time.sleep(0.01)
                out.write("taken\\n")

    @plugin(api=1)
    class Leaky:
        # a source and a sink that tell their key in every way
        api_key: Secret = setting(help="the key")

        @hookimpl
        def open(self, context):
            self.log = context.log
            key = self.api_key.reveal()
            self.log.debug("GET /?key=%s&k2=%s", quote(key, safe=""), quote_plus(key))
            self.log.info("Basic %s", base64.b64encode(f"user:{key}".encode()).decode())
            self.log.warning("settings %r and %r", {"key": key}, self)

        @hookimpl
        def collect(self, stop):
            yield Chunk(pack("ecm1220bin", "312345", {"secs": 1}), time=datetime(2026, 6, 21, tzinfo=UTC))
            raise ValueError(f"the meter refused {self.api_key.reveal()}")

        @hookimpl
        def process_batch(self, batch):
            raise Retry(f"401 for {self.api_key.reveal()}")

        @hookimpl
        def preview_batch(self, batch):
            yield f"POST key={self.api_key.reveal()}"
"""

KEY = 'k3y/with "odd" & signs='

HOLDING = f"""
state = "state"
[source.panel]
use = "file"
path = "{stream_file("ecm1220bin_steady")}"
[sink.hold]
file = "given.txt"
batch_size = 4
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, with the plugins of this test installed."""
    packages = tmp_path / "packages"
    packages.mkdir()
    install_distribution(packages, "btmon-odd", PLUGINS, {"hold": "Hold", "leaky": "Leaky"})
    monkeypatch.setenv("PYTHONPATH", str(packages), prepend=os.pathsep)
    return tmp_path


def given(folder: Path) -> list[str]:
    """Return what the sink wrote down."""
    file = folder / "given.txt"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.servers
def test_once_as_a_process(folder: Path) -> None:
    """`btcore run --once` plays a capture into a sink, and exits with 0."""
    (folder / "release").touch()
    with BtcoreProcess(folder, HOLDING, "--once") as process:
        assert process.finish() == 0
    assert given(folder) == ["given 4", "taken", "given 4", "taken"]
    assert stored_offset(folder / "state", "sink.hold") == 8


@pytest.mark.servers
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_signal_finishes_the_batch_under_way(folder: Path, number: signal.Signals) -> None:
    """The first signal lets the call under way end, commits it, and exits with 0; nothing else is begun."""
    with BtcoreProcess(folder, HOLDING) as process:
        wait_for(lambda: given(folder))
        process.process.send_signal(number)
        wait_for(lambda: "stopping: the work in progress may take" in process.log)
        (folder / "release").touch()
        assert process.finish() == 0
    assert given(folder) == ["given 4", "taken"]
    assert stored_offset(folder / "state", "sink.hold") == 4


@pytest.mark.servers
def test_a_second_signal_does_not_wait(folder: Path) -> None:
    """A second signal ends the program while a call is still under way; what it had is delivered by the next run."""
    with BtcoreProcess(folder, HOLDING) as process:
        wait_for(lambda: given(folder))
        process.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in process.log)
        process.process.send_signal(signal.SIGINT)
        assert process.finish() == 130
    assert stored_offset(folder / "state", "sink.hold") == 0
    (folder / "release").touch()
    with BtcoreProcess(folder, HOLDING, "--once") as process:
        assert process.finish() == 0
    assert given(folder)[-4:] == ["given 4", "taken", "given 4", "taken"]


@pytest.mark.servers
def test_a_second_run_is_refused(folder: Path) -> None:
    """Another run on the same state exits with 69 and says what to do, in one line."""
    with BtcoreProcess(folder, HOLDING) as process:
        wait_for(lambda: given(folder))
        again = subprocess.run(
            [sys.executable, "-m", "btcore", "run", "--config", str(folder / "site.toml")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        (folder / "release").touch()
        assert process.stop() == 0
    expected = f"btcore: another btcore is using {folder}/state: stop it first, or give this one another `state`\n"
    assert (again.returncode, again.stderr) == (69, expected)


@pytest.mark.servers
def test_a_run_whose_only_sink_has_stopped_exits(folder: Path) -> None:
    """It exits with 69, for whoever started it to act, and the last line of the log says why."""
    site = 'state = "state"\n[source.simulator]\n[sink.sqlite]\nfile = "missing/energy.db"\n'
    with BtcoreProcess(folder, site) as process:
        assert process.finish() == 69
    last = process.log.splitlines()[-1]
    assert "ERROR   btcore: ended with an error: all sinks have stopped: sink.sqlite: " in last
    assert f"there is no directory {folder}/missing" in last


@pytest.mark.servers
def test_a_state_that_cannot_be_written_exits(folder: Path) -> None:
    """A state directory that cannot be used exits with 69 and names it."""
    with BtcoreProcess(folder, HOLDING.replace('"state"', '"site.toml/state"')) as process:
        assert process.finish() == 69
    assert process.log == (
        f"btcore: cannot use the state directory {folder}/site.toml/state: Not a directory; "
        "set `state` to a directory that this user can write\n"
    )


@pytest.mark.servers
def test_secrets_are_never_told(folder: Path) -> None:
    """At the most talkative level, no log line and no line of a dry run shows a secret, in any way of writing it."""
    quoted = KEY.replace('"', '\\"')
    text = f'state = "state"\n[source.leaky]\napi_key = "{quoted}"\n[sink.leaky]\napi_key = "{quoted}"\n'
    with BtcoreProcess(folder, text, "-v") as process:
        wait_for(lambda: "401 for" in process.log and "the meter refused" in process.log)
        assert process.stop() == 0
    dry = subprocess.run(
        [sys.executable, "-m", "btcore", "run", "--config", str(folder / "site.toml"), "--once", "--dry-run"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = process.log + dry.stdout + dry.stderr
    assert "sink.leaky: POST key=***" in dry.stdout
    assert "ValueError: the meter refused ***" in process.log
    assert "Traceback" in process.log
    shown = [
        part for part in ("k3y", "odd", "signs", "azN5", "D9kZC", "aWducz") if part in told.replace("btmon-odd", "")
    ]
    assert shown == []
