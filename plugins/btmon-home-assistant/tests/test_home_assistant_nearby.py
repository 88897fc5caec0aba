# SPDX-License-Identifier: GPL-3.0-or-later
"""Home Assistant on this computer is found by its name."""

import pytest

from btcore.testing import HostedService, Reply
from btmon_home_assistant.nearby import discover

pytestmark = pytest.mark.servers

TIMEOUT = 15.0


def test_it_is_found_and_its_token_is_asked_for() -> None:
    """The manifest of its page has its name; no token is sent to find that out."""
    with HostedService(Reply(200, '{"name": "Home Assistant", "short_name": "Home"}')) as service:
        (found,) = discover(TIMEOUT, service.url)
        assert (found.settings, found.ask) == ({"url": service.url}, ("token",))
        assert [request.path for request in service.requests] == ["/manifest.json"]
        assert "authorization" not in service.requests[0].headers


@pytest.mark.parametrize("reply", [Reply(200, "[]"), Reply(200, "<html>"), Reply(404), Reply(200, "[" * 50_000)])
def test_another_program_is_not_taken_for_it(reply: Reply) -> None:
    """Whatever else answers on that port is left alone."""
    with HostedService(reply) as service:
        assert list(discover(TIMEOUT, service.url)) == []
