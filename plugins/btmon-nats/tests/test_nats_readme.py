# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README tells to type works: a server, a house with a simulated meter, and an archive that shows it."""

import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from helpers.needed import needs
from servers.nats_cluster import MISSING, PROGRAM

from btcore.testing import free_port, wait_for

HERE = Path(__file__).parents[1]
README = (HERE / "README.md").read_text()
SECTION = README.partition("## Seeing it work")[2].partition("\n## ")[0]


def test_the_readme_shows_the_sample() -> None:
    """The configuration at its head is the one that `btcore init` writes from."""
    assert f"```toml\n{(HERE / 'sample.toml').read_text()}```" in README


@pytest.mark.servers
@needs(MISSING)
def test_the_readme_s_commands_show_a_meter(tmp_path: Path) -> None:
    """With the README's two configurations and its four commands, the archive prints readings of the house's meter."""
    port = free_port()
    server = f'servers = ["nats://127.0.0.1:{port}"]\n'
    house, archive = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    (tmp_path / "house.toml").write_text(house.replace("[sink.nats]\n", f"[sink.nats]\n{server}"))
    (tmp_path / "archive.toml").write_text(archive.replace("[source.fleet]\n", f"[source.fleet]\n{server}"))
    commands = [line.strip() for line in SECTION.splitlines() if line.startswith("    ")]
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            name, *words = shlex.split(command)
            program = [PROGRAM, "--port", str(port)] if name == "nats-server" else [sys.executable, "-m", name]
            with (tmp_path / f"{number}.txt").open("wb") as output:
                process = subprocess.Popen([*program, *words], stdout=output, stderr=subprocess.STDOUT, cwd=tmp_path)
            stack.callback(process.wait)
            stack.callback(process.kill)
            if name == "nats-server":
                wait_for(lambda: "Server is ready" in (tmp_path / "0.txt").read_text(), "the server to be ready")
            elif words[0] == "nats":
                assert process.wait() == 0, (tmp_path / f"{number}.txt").read_text()
        shown = tmp_path / "3.txt"
        wait_for(lambda: "Serial: 01000101" in shown.read_text(), "a reading at the archive")
