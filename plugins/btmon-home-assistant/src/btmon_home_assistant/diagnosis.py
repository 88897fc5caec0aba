# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Home Assistant takes the token, and lets its user write; nothing is written."""

from collections.abc import Iterator

from btcore import Finding, Retry, Stop
from btmon_home_assistant.connection import Connection, Server, TlsStop


def diagnose(server: Server) -> Iterator[Finding]:
    """Yield what is wrong with the token, the certificate, or the way to Home Assistant."""
    try:
        with Connection(server) as connection:
            user = connection.call("auth/current_user")
            if not (isinstance(user, dict) and user.get("is_admin")):
                text = f"{server}: the token is of a user who may not write"
                yield Finding("credentials", text, "Make a token as an administrator, and set it as `token`")
    except TlsStop as error:
        yield Finding("certificate", str(error), "Correct `ssl_ca` or `url`")
    except Stop as error:
        text, _, advice = str(error).rpartition("; ")
        yield Finding("credentials", text or str(error), f"{advice[:1].upper()}{advice[1:]}")
    except Retry as error:
        advice = "Check `url`, and that Home Assistant runs and may be reached; readings wait meanwhile"
        yield Finding("unreachable", str(error), advice)
