# SPDX-License-Identifier: GPL-3.0-or-later
"""What `btcore doctor` finds of an account: PVOutput is asked for the system, and nothing is sent."""

import pytest
from servers.pvoutput import RESET, PVOutputServer

from btcore import ChannelRef, DiagnosisContext, Finding, Secret
from btcore.testing import Reply
from btmon_pvoutput.sink import PVOutput

pytestmark = pytest.mark.servers


def diagnose(server: PVOutputServer, key: str = "", system: str = "") -> list[Finding]:
    """Return what is found."""
    sink = PVOutput(
        api_key=Secret(key or server.key),
        system_id=system or server.system,
        generation=ChannelRef("399999", "ch1"),
        url=server.url,
    )
    return list(sink.diagnose(DiagnosisContext(name="sink.roof")))


def test_an_account_that_is_right_has_no_finding(server: PVOutputServer) -> None:
    """One request, in which nothing is sent."""
    assert diagnose(server) == []
    assert [(one.path, one.form) for one in server.requests] == [("/service/r2/getsystem.jsp", {})]


def test_requests_that_are_used_up_are_no_finding(server: PVOutputServer) -> None:
    """The sink waits for the next hour, as it should."""
    server.limit = 0
    assert diagnose(server) == []


@pytest.mark.parametrize(("given", "setting"), [({"key": "wrong"}, "api_key"), ({"system": "99"}, "system_id")])
def test_a_wrong_key_or_system_is_told(server: PVOutputServer, given: dict[str, str], setting: str) -> None:
    """The advice names the setting, the text shows no key."""
    (found,) = diagnose(server, **given)
    assert (found.code, f"`{setting}`" in found.advice, "wrong" in found.text) == ("credentials", True, False)


@pytest.mark.parametrize("reply", [RESET, Reply(500, "oops"), Reply(404, "no such page")])
def test_a_service_that_does_not_answer_as_pvoutput_does_is_told(server: PVOutputServer, reply: Reply) -> None:
    """Whatever is there instead."""
    server.fail(reply, reply)
    assert [one.code for one in diagnose(server)] == ["unreachable"]
