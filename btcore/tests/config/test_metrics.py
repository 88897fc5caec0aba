"""The table [metrics]."""

import pytest

from btcore.config.metrics import MetricsSettings


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
