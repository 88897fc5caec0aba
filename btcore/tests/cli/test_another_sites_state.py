# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that are given a configuration whose state directory belongs to another site."""

from pathlib import Path

import pytest

from btcore.cli import CONFIGURATION, main
from btcore.runtime import state_directory

SITE = """
state = "state"
[source.house]
use = "simulator"
[sink.print]
"""


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["reload"],
        ["doctor"],
        ["capture", "-o", "capture.json"],
        ["device", "list"],
        ["device", "show", "01000101"],
        ["device", "set", "01000101", "interval=10", "--yes"],
        ["replay", "print"],
        ["dead-letters", "list"],
        ["dead-letters", "drop", "--all"],
        ["journal", "check"],
        ["journal", "compact"],
    ],
    ids=" ".join,
)
def test_the_program_of_another_site_is_not_asked(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer would be about a configuration that was not named, and a change would be made to its meters."""
    monkeypatch.chdir(tmp_path)
    for name in ("one.toml", "other.toml"):
        Path(name).write_text(SITE)
    Path("state").mkdir()
    state_directory.claim(tmp_path / "state", tmp_path / "one.toml")
    assert main([*command, "--config", "other.toml"]) == CONFIGURATION
    assert f"belongs to {tmp_path / 'one.toml'}" in capsys.readouterr().err
    assert not Path("capture.json").exists()
