# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with settings that many plugins have."""

import attrs
import pytest

from btcore import Problem, host_problems


@attrs.define
class Client:
    """A plugin that connects to a server."""

    host: str


@pytest.mark.parametrize(
    "host", ["db", "db.example.org", "192.0.2.7", "::1", "2001:db8::7", "fe80::1%eth0", "zähler.example.org"]
)
def test_a_name_or_an_address_is_a_host(host: str) -> None:
    """Whoever writes no more than that is told of no mistake."""
    assert list(host_problems(Client(host), "host")) == []


@pytest.mark.parametrize(
    "host", ["", " ", "db:3307", "[::1]", "[::1]:3306", "tcp://db", "user@db", "db/energy", "a..b", "x" * 64]
)
def test_what_is_no_host_is_told(host: str) -> None:
    """It would be looked up as it is, at each attempt, for ever."""
    assert list(host_problems(Client(host), "host")) == [
        Problem(f"expected a name or an address, without a port, found {host!r}", "host")
    ]
