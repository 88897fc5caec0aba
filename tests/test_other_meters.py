# SPDX-License-Identifier: GPL-3.0-or-later
"""A binary and a text meter of other makes: their decoders are installed as strangers' and go the whole way."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from helpers.example_meters import METERS_FOLDER, example_streams

from btcore.testing import HostedService, Reply

pytestmark = pytest.mark.servers

DISTRIBUTIONS = ("btmon-acme", "btmon-sunline")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install both decoders with pip; return the environment in which they are found."""
    site = tmp_path_factory.mktemp("site-packages")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
    ]
    subprocess.run([*pip, *(str(METERS_FOLDER / name) for name in DISTRIBUTIONS)], check=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with what each of the meters has sent."""
    for name, data in zip(("acme.bin", "sunline.txt"), example_streams(), strict=True):
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (1_700_000_000, 1_700_000_000))
    return tmp_path


def btcore(environment: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "btcore", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def rows(file: Path, sql: str) -> Sequence[tuple[object, ...]]:
    """Ask a database."""
    with closing(sqlite3.connect(file)) as database:
        return database.execute(sql).fetchall()


SITE = """
state = "state"
[source.inverter]
use = "file"
path = "acme.bin"
formats = ["acme"]
[source.roof]
use = "file"
path = "sunline.txt"
[decoder.acme]
[decoder.sunline]
[channels]
"4242_pv1" = "roof"
[sink.counters]
use = "sqlite"
file = "counters.db"
[sink.energies]
use = "sqlite"
file = "energies.db"
schema = "ecmreadext"
[sink.emoncms]
url = "{url}"
token = "a-secret-token"
flush_interval = 0
[sink.plotwatt]
url = "{url}"
api_key = "a-secret-key"
flush_interval = 0
map = {{ 4242_pv1 = "1000", "77_pv1" = "1001", roof = "1000" }}
[sink.print]
"""


def test_they_are_found_once_installed(environment: dict[str, str]) -> None:
    """`btcore plugins --json` lists them as decoders of their own distributions."""
    listed = json.loads(btcore(environment, "plugins", "--json").stdout)
    found = {one["name"]: (one["distribution"], one["kinds"], one["error"]) for one in listed}
    assert found["acme"] == ("btmon-acme", ["decoder"], None)
    assert found["sunline"] == ("btmon-sunline", ["decoder"], None)


def test_their_mistakes_are_told(environment: dict[str, str], folder: Path) -> None:
    """`btcore check` knows their channels and formats, and tells what is none with the nearest."""
    (folder / "site.toml").write_text(
        SITE.format(url="http://127.0.0.1:9")
        .replace('formats = ["acme"]', 'formats = ["acne"]')
        .replace("77_pv1", "77_pv9")
    )
    found = btcore(environment, "check", "--config", folder / "site.toml")
    assert found.returncode == 78
    assert '[source.inverter] formats item 1: expected one of "ecm1220bin"' in found.stderr
    assert 'did you mean "acme"?' in found.stderr
    assert "[sink.plotwatt] map.77_pv9: no such channel" in found.stderr


def test_they_go_the_whole_way(environment: dict[str, str], folder: Path) -> None:
    """Both are decoded, sampled, stored in both schemas, printed, and uploaded, all and by a map of channels."""
    with HostedService(lambda came: Reply(200, "ok" if "input" in came.path else "")) as service:
        (folder / "site.toml").write_text(SITE.format(url=service.url).replace(', roof = "1000"', ""))
        checked = btcore(environment, "check", "--config", folder / "site.toml")
        assert (checked.returncode, "decoder.acme" in checked.stdout) == (0, True), checked.stderr
        found = btcore(environment, "run", "--once", "--config", folder / "site.toml")
    assert found.returncode == 0, found.stderr
    counters = rows(
        folder / "counters.db", "SELECT serial, secs, volts, grid_aws, grid_pws, pv1_ws, heat FROM acme_counters"
    )
    assert counters == [("4242", s, 230.5, 2160 * s, 360 * s, 3600 * s, 21.5) for s in (1000, 1010, 1020)]
    assert rows(folder / "counters.db", "SELECT serial, secs, pv1_ws FROM sunline_counters") == [
        ("77", s, 3600 * s) for s in (1000, 1010, 1020)
    ]
    powers = rows(folder / "energies.db", "SELECT grid_w, pv1_w, pv1_dwh, heat FROM acme_ecmreadext")
    assert powers == [(1440.0, 3600.0, 10.0, 21.5)] * 2
    assert rows(folder / "energies.db", "SELECT pv1_w, volts FROM sunline_ecmreadext") == [(3600.0, 229.9)] * 2
    assert "roof:" in found.stdout
    assert "heat:" in found.stdout
    sent_to_emoncms = " ".join(request.form["data"] for request in service.taken if "input" in request.path)
    assert '{"XXX242_pv1_w":3600.0}' in sent_to_emoncms
    assert '{"XXX77_pv1_w":3600.0}' in sent_to_emoncms
    mapped = ",".join(request.text for request in service.taken if "push_readings" in request.path)
    assert mapped.count("1000,3.60000,") == mapped.count("1001,3.60000,") == 2


@pytest.mark.parametrize(("file", "serial", "name"), [("acme.bin", "4242", "acme"), ("sunline.txt", "77", "sunline")])
def test_their_captures_are_decoded(
    environment: dict[str, str], folder: Path, file: str, serial: str, name: str
) -> None:
    """`btcore decode` reads plain bytes and text of every installed decoder, and `--formats` chooses among them."""
    for words in ((), ("--formats", name)):
        found = btcore(environment, "decode", "--json", "--samples", folder / file, *words)
        assert found.stderr == "3 packets, 0 junk bytes, 0 damaged packets\n"
        samples = [json.loads(line) for line in found.stdout.splitlines()]
        assert [(one["serial"], one["seconds"], one["values"]["pv1_w"]) for one in samples] == [
            (serial, 10, 3600.0)
        ] * 2
    other = btcore(environment, "decode", folder / file, "--formats", "gem48pbin")
    assert "0 packets" in other.stderr
    wrong = btcore(environment, "decode", folder / file, "--formats", f"{name}x")
    assert wrong.returncode == 2
    assert f"no packet format {name}x; there are ecm1220bin," in wrong.stderr
