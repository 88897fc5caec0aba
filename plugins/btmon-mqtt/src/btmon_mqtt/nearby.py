# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether there is a broker on this computer, and whether it wants a user: one connection, nothing is published."""

from collections.abc import Iterator

from btcore import Discovered
from btmon_mqtt.diagnosis import diagnose
from btmon_mqtt.login import Login

HOST = "localhost"

FOR_HOME_ASSISTANT = "homeassistant"
"""The setting by which Home Assistant learns of the meters."""


def discover(port: int, timeout: float) -> Iterator[Discovered]:
    """Yield the broker; where none answers, one whose address has to be known."""
    codes = {finding.code for finding in diagnose(Login(host=HOST, port=port, timeout=timeout))}
    if "unreachable" in codes:
        yield Discovered(
            kind="sink",
            text="an MQTT broker",
            settings={"host": HOST},
            ask=("host", "port", "user", "password", FOR_HOME_ASSISTANT),
            is_present=False,
        )
        return
    account = ("user", "password") if "credentials" in codes else ()
    text = f"the MQTT broker on this computer, port {port}{', which wants a user' if account else ''}"
    yield Discovered(kind="sink", text=text, settings={"host": HOST}, ask=(*account, FOR_HOME_ASSISTANT))
