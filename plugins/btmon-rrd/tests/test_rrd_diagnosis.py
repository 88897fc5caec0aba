# SPDX-License-Identifier: GPL-3.0-or-later
"""What `btcore doctor` finds of RRD files, without storing anything."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.rrd_files import batch_of, readings_of_values
from servers.rrdcached import Rrdcached

from btcore import DiagnosisContext
from btmon_rrd import diagnosis
from btmon_rrd.plugin import Rrd

Opened = Callable[..., Rrd]


def codes(name: str, **settings: Any) -> list[str]:  # noqa: ANN401 - what a table may hold
    """Return the codes that are found of a table."""
    found = Rrd(**settings).diagnose(DiagnosisContext(name=name))
    return [one.code for one in found]


def test_a_directory_that_can_be_used(direct: Opened, tmp_path: Path) -> None:
    """Nothing is found, neither as a sink nor as a source, and no directory is made."""
    direct(dir=tmp_path / "rrd").process_batch(batch_of(readings_of_values([{}, {}])))
    assert [codes(name, dir=tmp_path / "rrd") for name in ("sink.rrd", "source.rrd")] == [[], []]
    assert codes("sink.rrd", dir=tmp_path / "new" / "deeper") == []
    assert not (tmp_path / "new").exists()


def test_a_directory_that_is_missing(direct: Opened, tmp_path: Path) -> None:
    """A source has nothing to read in a directory that is not there; a file in its place is of no use to either."""
    assert codes("source.rrd", dir=tmp_path / "rrd") == ["rrd-directory"]
    (tmp_path / "file").touch()
    assert [codes(name, dir=tmp_path / "file" / "rrd") for name in ("sink.rrd", "source.rrd")] == [
        ["rrd-directory"]
    ] * 2


def test_a_directory_without_rights(direct: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not write the directory is told so."""
    monkeypatch.setattr(os, "access", lambda _path, wanted: not wanted & os.W_OK)
    assert codes("sink.rrd", dir=tmp_path) == ["rrd-rights"]
    assert codes("source.rrd", dir=tmp_path) == []


def test_a_damaged_file_is_named(direct: Opened, tmp_path: Path) -> None:
    """Each file that cannot be used is a finding."""
    direct(dir=tmp_path).process_batch(batch_of(readings_of_values([{}, {}])))
    (tmp_path / "312345_volts.rrd").write_text("x" * 5000)
    (found,) = Rrd(dir=tmp_path).diagnose(DiagnosisContext(name="sink.rrd"))
    assert (found.code, "312345_volts.rrd" in found.text) == ("rrd-file", True)


def test_without_rrdtool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that installs it is told."""
    monkeypatch.setattr(diagnosis, "binding_problem", lambda: "it is not installed")
    assert codes("sink.rrd", dir=tmp_path) == ["rrdtool-missing"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert codes("source.rrd", dir=tmp_path) == ["rrdtool-missing"]


@pytest.mark.servers
def test_rrdcached(rrdcached: Rrdcached) -> None:
    """A daemon that answers is fine; one that was ended is not."""
    where = {"dir": rrdcached.files, "daemon": rrdcached.address}
    assert codes("sink.rrd", **where) == []
    rrdcached.kill()
    assert codes("sink.rrd", **where) == ["unreachable"]
