# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the broker takes the user: one connection, by which nothing is published."""

from collections.abc import Iterator

import attrs

from btcore import Finding, Retry, Stop
from btmon_mqtt.connection import Connection
from btmon_mqtt.login import Login


def diagnose(login: Login) -> Iterator[Finding]:
    """Yield what is wrong with the account, the certificates, or the way to the broker."""
    # another client with the same id would end the connection of the btcore that runs
    connection = Connection(attrs.evolve(login, client_id=""))
    try:
        connection.open()
    except Stop as error:
        what, _, advice = str(error).rpartition(": ")
        yield Finding("credentials", what, advice[:1].upper() + advice[1:])
    except Retry as error:
        advice = "Check `host`, `port` and `tls`, and that the broker runs and may be reached; readings wait meanwhile"
        yield Finding("unreachable", str(error), advice)
    finally:
        connection.close()
