# SPDX-License-Identifier: GPL-3.0-or-later
"""The table [metrics]."""

from pathlib import Path

import pytest

from btcore.config.load import load_site
from btcore.config.metrics import MetricsSettings
from btcore.errors import ConfigurationError


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("", None),
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9464", ("::1", 9464)),
        ("::1:9464", ("::1", 9464)),
    ],
)
def test_an_address_is_a_host_and_a_port(listen: str, address: tuple[str, int] | None) -> None:
    """IPv6 is written with brackets or without."""
    assert MetricsSettings(listen).address == address


@pytest.mark.parametrize(
    "listen",
    [
        "9464",
        ":9464",
        "[]:9464",
        "a:b:9464",
        "a\0b:9464",
        "a\nb:9464",
        f"{'ü' * 70}:9464",
        "a..b:1",
        "host:65536",
        "host:",
    ],
)
def test_what_no_port_can_be_opened_at_is_a_mistake(listen: str) -> None:
    """It is told by `check`, and never reaches a program that runs."""
    with pytest.raises(ValueError, match="expected HOST:PORT, such as"):
        _ = MetricsSettings(listen).address


@pytest.mark.parametrize(
    ("listen", "host", "is_taken"),
    [
        ("127.0.0.1:9464", "", True),
        ("localhost:9464", "127.0.0.1", True),
        ("[::]:9464", "192.168.1.7", True),
        ("127.0.0.1:9464", "192.168.1.7", False),
        ("127.0.0.1:9465", "", False),
    ],
)
def test_a_port_that_a_source_has_is_a_mistake(tmp_path: Path, listen: str, host: str, is_taken: bool) -> None:
    """Whoever comes second could not listen."""
    (tmp_path / "site.toml").write_text(
        f'[metrics]\nlisten = "{listen}"\n[source.tcp-server]\nhost = "{host}"\nport = 9464\n[sink.print]\n'
    )
    try:
        load_site(tmp_path / "site.toml")
        found = ""
    except ConfigurationError as error:
        found = str(error)
    assert ("is already used by [source.tcp-server]" in found) == is_taken
    assert bool(found) == is_taken
