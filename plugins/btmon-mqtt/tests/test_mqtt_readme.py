# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README tells to type works: a simulated meter, btcore, mosquitto, and mosquitto_sub that shows it."""

import re
import shlex
import socket
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from helpers.needed import needs
from servers.mosquitto import MISSING, PROGRAM

from btcore.testing import free_port, wait_for

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTION = README.partition("## Seeing it work")[2].partition("\n## ")[0]


@pytest.mark.servers
@needs(MISSING)
def test_the_readme_s_commands_show_a_meter(tmp_path: Path) -> None:
    """With the README's configuration and its four commands, its two lines are shown."""
    broker, meter = free_port(), free_port()
    (site,) = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    site = site.replace("port = 8083", f"port = {meter}").replace("[sink.mqtt]", f"[sink.mqtt]\nport = {broker}")
    (tmp_path / "site.toml").write_text(f'state = "state"\n{site}')
    shown = tmp_path / "mosquitto_sub.txt"
    commands = [line.strip() for line in SECTION.splitlines() if line.startswith("    ")]
    with ExitStack() as stack:
        for command in commands:
            start(stack, tmp_path, command.replace("1883", str(broker)).replace("8083", str(meter)))
            if command.startswith(("/usr/sbin/mosquitto", "btcore run")):
                port = broker if "mosquitto" in command else meter
                wait_for(partial(listens, port), f"{command} to listen")
        wait_for(lambda: '"volts":' in shown.read_text(), "a reading")
    first, second = shown.read_text().splitlines()[:2]
    assert first == "/house/energy/status online"
    assert re.match(r'/house/energy/01000101/json {"time":"[^"]*Z","serial":"01000101","seconds":\d+,"volts":1', second)


def start(stack: ExitStack, folder: Path, command: str) -> None:
    """Start a command; what it shows is in a file of its name. It is ended with all others."""
    path, *words = shlex.split(command)
    name = Path(path).name
    program = [sys.executable, "-m", "btcore"] if name == "btcore" else [PROGRAM if name == "mosquitto" else name]
    with (folder / f"{name}.txt").open("ab") as shown:
        process = subprocess.Popen([*program, *words], stdout=shown, stderr=subprocess.STDOUT, cwd=folder)
    stack.callback(process.wait)
    stack.callback(process.kill)


def listens(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
