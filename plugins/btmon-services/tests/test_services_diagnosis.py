# SPDX-License-Identifier: GPL-3.0-or-later
"""What `btcore doctor` finds of a service: whether there is an answer, without a key and without data."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from helpers.hosted_services import SECRET, SECRET_IN_URL, SERVICES, service_sink

from btcore import DiagnosisContext, Finding
from btcore.config.site import Sink
from btcore.testing import HostedService, Reply

pytestmark = pytest.mark.servers

WITHOUT_KEY = sorted(SERVICES.keys() - {"emoncms"})
"""The services that cannot be asked whether a key is right: they take one with data alone."""


def diagnose(sink: Sink) -> list[Finding]:
    """Return what the plugin finds."""
    found: Iterable[Finding] = sink.instance.diagnose(DiagnosisContext(name=sink.table))  # type: ignore[attr-defined]
    return list(found)


@pytest.mark.parametrize("name", WITHOUT_KEY)
@pytest.mark.parametrize("reply", [Reply(), Reply(401, "no"), Reply(404, "no such page"), Reply(500, "oops")])
def test_a_service_that_answers_is_there(name: str, reply: Reply, tmp_path: Path) -> None:
    """Whatever it says of its first page; it is sent neither a key nor data."""
    with HostedService() as server:
        sink = service_sink(name, server, tmp_path)
        server.answer = reply
        assert diagnose(sink) == []
    (asked,) = server.requests
    sent = f"{asked.path}{asked.query}{asked.headers}{asked.body!r}"
    assert (asked.method, asked.path, asked.body) == ("HEAD", "/", b"")
    assert not any(secret in sent for secret in (SECRET, SECRET_IN_URL))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    """The finding says where it was looked for, and shows no secret."""
    with HostedService() as server:
        sink = service_sink(name, server, tmp_path)
    (found,) = diagnose(sink)
    assert (found.code, f"127.0.0.1:{server.port}" in found.text or "127.0.0.1" in found.text) == ("unreachable", True)
    assert "`url`" in found.advice
    assert SECRET not in repr(found)
    assert SECRET_IN_URL not in repr(found)


@pytest.mark.parametrize(("reply", "codes"), [(Reply(200, "[]"), []), (Reply(401, "no"), ["credentials"])])
def test_emoncms_is_asked_whether_it_takes_the_key(reply: Reply, codes: list[str], tmp_path: Path) -> None:
    """The list of feeds needs the key, and changes nothing."""
    with HostedService() as server:
        sink = service_sink("emoncms", server, tmp_path)
        server.answer = reply
        assert [one.code for one in diagnose(sink)] == codes
    assert [(one.method, one.path) for one in server.requests] == [("GET", "/emoncms/feed/list.json")]
