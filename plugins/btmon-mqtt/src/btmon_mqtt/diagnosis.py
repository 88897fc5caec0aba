# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the broker takes the user: one connection, by which nothing is published."""

from collections.abc import Iterator

import attrs

from btcore import Finding, Retry, Stop
from btmon_mqtt.connection import Connection
from btmon_mqtt.login import Login, TlsStop


def diagnose(login: Login) -> Iterator[Finding]:
    """Yield what is wrong with the account, the certificates, or the way to the broker."""
    # another client with the same id would end the connection of the btcore that runs
    connection = Connection(attrs.evolve(login, client_id=""))
    try:
        connection.open()
    except TlsStop as error:
        yield Finding(
            "certificate", str(error), "Correct `tls`, `tls_ca`, `tls_cert` and `tls_key`, or `host` and `port`"
        )
    except Stop as error:
        yield Finding("credentials", str(error), "Correct `user`, `password` and `client_id`")
    except Retry as error:
        advice = "Check `host`, `port` and `tls`, and that the broker runs and may be reached; readings wait meanwhile"
        yield Finding("unreachable", str(error), advice)
    finally:
        connection.close()
