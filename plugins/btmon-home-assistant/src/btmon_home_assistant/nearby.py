# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Home Assistant runs on this computer: its page for browsers tells its name. No token is sent."""

import json
from collections.abc import Iterator

from btcore import Discovered, Reject, Retry, Stop
from btcore.web import Client

URL = "http://localhost:8123"

NAME = "Home Assistant"


def discover(timeout: float, url: str = URL) -> Iterator[Discovered]:
    """Yield it, if it answers."""
    client = Client(agent="btmon-home-assistant", timeout=timeout)
    try:
        manifest = json.loads(client.send("GET", f"{url}/manifest.json").body)
    except (Retry, Reject, Stop, ValueError, RecursionError):
        return
    finally:
        client.close()
    if isinstance(manifest, dict) and NAME in str(manifest.get("name")):
        text = "Home Assistant on this computer: the history, for its Energy dashboard"
        yield Discovered(kind="sink", text=text, settings={"url": url}, ask=("token",))
