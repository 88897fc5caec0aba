# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations of btmon that are migrated as a user migrates them, and run on what btmon was recorded with."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from btcore.cli import main
from helpers.folders import GOLDEN
from helpers.golden_streams import RECORDED_AT, recorded_packets

LEGACY = GOLDEN / "btmon" / "legacy_configs"


def write_legacy(name: str, file: Path, changes: Mapping[str, object]) -> None:
    """Write a recorded configuration with other values of some options, each of which is in it."""
    text = (LEGACY / f"{name}.cfg").read_text()
    for option, value in changes.items():
        text, count = re.subn(rf"^{option} =.*$", f"{option} = {value}", text, flags=re.MULTILINE)
        assert count == 1, option
    file.write_text(text)


def write_options(options: Mapping[str, object], file: Path) -> None:
    """Write options of btmon as a configuration; they read a meter over TCP, unless they say otherwise."""
    lines = [f"{name} = {value}" for name, value in {"ip_read": "true", **options}.items()]
    file.write_text("\n".join(["[btmon]", *lines, ""]))


def migrate(file: Path) -> Path:
    """Migrate a configuration; return the site.toml."""
    site = file.with_name("site.toml")
    assert main(["migrate", str(file), "-o", str(site)]) in {0, 1}
    return site


def switch_on(site: Path, header: str) -> None:
    """Switch a table on that was written switched off, as its comment tells: remove the # of each of its lines."""
    before, begin, rest = site.read_text().partition(f"#[{header}]\n")
    assert begin, header
    table, end, after = rest.partition("\n\n")
    lines = [f"[{header}]", *(line.removeprefix("#") for line in table.splitlines())]
    site.write_text(before + "\n".join(lines) + end + after)


def change_table(site: Path, header: str, **settings: str) -> None:
    """Change settings of a table, each written as TOML; add those that it lacks."""
    before, begin, rest = site.read_text().partition(f"[{header}]\n")
    assert begin, header
    table, end, after = rest.partition("\n\n")
    kept = [line for line in table.splitlines() if line.partition(" = ")[0] not in settings]
    lines = [*kept, *(f"{name} = {value}" for name, value in settings.items())]
    site.write_text(before + begin + "\n".join(lines) + "\n" + end + after)


def read_recording(site: Path, stream: str, first: int = 0) -> None:
    """Have a site read a recorded stream, with the times at which btmon had its packets, in place of its source.

    The packet number `first` is the first that it reads; they are ten seconds apart.
    """
    text = site.read_text()
    packets = site.with_name("packets.bin")
    packets.write_bytes(b"".join(recorded_packets(stream)[first:]))
    start = RECORDED_AT + timedelta(seconds=10 * first)
    recording = f'[source.meter]\nuse = "file"\npath = "{packets}"\nstart = "{start:%Y-%m-%dT%H:%M:%S}Z"\n'
    text, count = re.subn(r"\[source\.meter\]\n(?:.+\n)*", recording, text)
    assert count == 1
    site.write_text('state = "state"\n' + text)
