# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server takes the user: one connection, by which nothing is created or stored."""

from collections.abc import Iterator

from btcore import Finding
from btcore.sql import ErrorKind, SqlError
from btmon_mysql.server import Server


def diagnose(server: Server) -> Iterator[Finding]:
    """Yield what is wrong with the account, or the way to the server."""
    try:
        server.log_in()
    except SqlError as error:
        if error.kind in {ErrorKind.CREDENTIALS, ErrorKind.PERMISSION}:
            advice = "Correct `user` and `password`, or have an administrator give the user its rights"
            yield Finding("credentials", str(error), advice)
        else:
            advice = "Check `host` and `port`, and that the server runs and may be reached; readings wait meanwhile"
            yield Finding("unreachable", str(error), advice)
