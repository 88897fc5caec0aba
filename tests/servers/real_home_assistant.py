# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Home Assistant with a directory of its own, for `nox -s homeassistant`, which installs it.

HASS names its program; without it, the tests that need it are skipped.
"""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import requests
from servers.server_process import ServerProcess
from websockets.sync.client import connect

from btcore.testing import free_port, wait_for

PROGRAM = os.environ.get("HASS", "")
MISSING = "" if PROGRAM else "a real Home Assistant is needed: nox -s homeassistant"
"""Why none can be started; "" if one can."""

PATIENCE = 300.0
"""Seconds to wait for its start: the first one installs what its integrations need."""

CONFIGURATION = """
homeassistant:
  name: house
  latitude: 52.5
  longitude: 13.4
  elevation: 34
  unit_system: metric
  time_zone: Europe/Berlin
  currency: EUR
  country: DE
http:
  server_host: 127.0.0.1
  server_port: {port}
recorder:
  commit_interval: 1
onboarding:
config:
energy:
"""

OWNER = {"name": "t", "username": "t", "password": "t", "language": "en"}


class RealHomeAssistant(ServerProcess):
    """Started by `with`; its owner's token is `token`."""

    patience = PATIENCE

    def __init__(self, folder: Path) -> None:
        """Prepare."""
        self.port = free_port()
        self.token = ""
        self._folder = folder / "home-assistant"
        self._folder.mkdir()
        (self._folder / "configuration.yaml").write_text(CONFIGURATION.format(port=self.port))

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start it, and create its owner."""
        self.start()
        code = self._post("/api/onboarding/users", json={"client_id": f"{self.url}/", **OWNER})["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": f"{self.url}/"}
        access = self._post("/auth/token", data=form)["access_token"]
        self.token = access  # of half an hour; the next is of ten years, as an owner makes it
        self.token = self.ask("auth/long_lived_access_token", client_name="btcore", lifespan=3650)
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "out.log").open("ab") as log:
            command = [PROGRAM, "--config", str(self._folder)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._answers, "Home Assistant to start", PATIENCE)

    def add_mqtt(self, port: int) -> None:
        """Connect it to a broker."""
        headers = {"Authorization": f"Bearer {self.token}"}
        flow = self._post("/api/config/config_entries/flow", json={"handler": "mqtt"}, headers=headers)["flow_id"]
        broker = {"broker": "127.0.0.1", "port": port}
        done = self._post(f"/api/config/config_entries/flow/{flow}", json=broker, headers=headers)
        assert done["type"] == "create_entry", done

    def states(self, begins: str) -> dict[str, Any]:
        """Return the states of the entities whose id begins so, by the rest of it."""
        headers = {"Authorization": f"Bearer {self.token}"}
        found = requests.get(f"{self.url}/api/states", headers=headers, timeout=30).json()
        ids = ((one["entity_id"], one) for one in found)
        return {name.removeprefix(begins): one for name, one in ids if name.startswith(begins)}

    def ask(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever it answers
        """Give a command of the WebSocket API and return its result."""
        with connect(f"ws://127.0.0.1:{self.port}/api/websocket", max_size=None) as socket:
            socket.recv(30)
            socket.send(json.dumps({"type": "auth", "access_token": self.token}))
            assert json.loads(socket.recv(30))["type"] == "auth_ok"
            socket.send(json.dumps({"id": 1, "type": command, **arguments}))
            answer = json.loads(socket.recv(30))
        assert answer["success"], answer
        return answer["result"]

    def energies(self, statistic_id: str, period: str = "hour") -> list[float]:
        """Return the energy of each hour, day or month, as its Energy dashboard asks for it."""
        found = self.ask(
            "recorder/statistics_during_period",
            statistic_ids=[statistic_id],
            start_time="2000-01-01T00:00:00+00:00",
            period=period,
            types=["change"],
        )
        return [row["change"] for row in found.get(statistic_id, [])]

    def warnings(self, *words: str) -> list[str]:
        """Return the warnings and errors of its log that have one of these words."""
        lines = (self._folder / "out.log").read_text().splitlines()
        return [one for one in lines if (" WARNING " in one or " ERROR " in one) and any(word in one for word in words)]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "out.log").read_text()[-2000:]
        try:
            return requests.get(f"{self.url}/api/onboarding", timeout=5).ok
        except requests.RequestException:
            time.sleep(0.2)
            return False

    def _post(self, path: str, **more: Any) -> Mapping[str, Any]:  # noqa: ANN401 - what requests takes
        answer = requests.post(f"{self.url}{path}", timeout=60, **more)
        assert answer.ok, answer.text
        found: Mapping[str, Any] = answer.json()
        return found
