# SPDX-License-Identifier: GPL-3.0-or-later
"""The uploader of a stranger: the one in docs/writing-a-plugin.md, installed from a directory of its own."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from btcore.testing import HostedService, Reply

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "writing-a-plugin.md"
CAPTURE = ROOT / "tests" / "golden" / "streams" / "ecm1240bin_steady.bin"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the documented plugin with pip; return the environment in which it is found."""
    source, site = tmp_path_factory.mktemp("btmon-webhook"), tmp_path_factory.mktemp("site-packages")
    text = PAGE.read_text()
    for name in ("btmon_webhook.py", "pyproject.toml"):
        found = re.search(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```", text, re.DOTALL)
        assert found is not None, name
        (source / name).write_text(found[1])
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(source)], check=True)
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "HOOK_TOKEN": "a-secret-token"}


def btcore(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "btcore", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Run a web address that keeps what is sent to it, after failing once."""
    rows: list[dict[str, object]] = []
    tokens: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            tokens.append(self.headers["Authorization"])
            if len(tokens) > 1:
                assert tokens[-1] == "Bearer a-secret-token"
                rows.extend(json.loads(body))
            self.send_response(200 if len(tokens) > 1 else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", rows
        server.shutdown()
        thread.join()


def test_it_is_short_enough_to_be_an_example() -> None:
    """The module has no more than 25 lines that are not blank."""
    found = re.search(r"`btmon_webhook.py`:\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    assert len([line for line in found[1].splitlines() if line]) <= 25


def test_it_conforms(environment: dict[str, str]) -> None:
    """It does what every sink has to."""
    code = "from btcore.testing import conforms; from btmon_webhook import Webhook; conforms(Webhook)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_is_found_once_installed(environment: dict[str, str]) -> None:
    """`btcore plugins --json` lists it with its distribution and what it is."""
    listed = json.loads(btcore(environment, "plugins", "--json").stdout)
    (found,) = [plugin for plugin in listed if plugin["name"] == "webhook"]
    assert (found["distribution"], found["kinds"]) == ("btmon-webhook", ["sink"])


def test_its_settings_are_validated(environment: dict[str, str], tmp_path: Path) -> None:
    """Mistakes in its table are told like any other plugin's, with line and key, and exit code 78."""
    site = tmp_path / "site.toml"
    site.write_text('[source.file]\npath = "x"\n[sink.webhook]\ntimout = "5s"\n')
    found = btcore(environment, "check", "--config", str(site))
    assert found.returncode == 78
    assert "site.toml:4: [sink.webhook] timout" in found.stderr
    assert "url" in found.stderr


def test_it_delivers(
    environment: dict[str, str], tmp_path: Path, receiver: tuple[str, list[dict[str, object]]]
) -> None:
    """It is used: every sample arrives, also after a failure, and its token is in no log line."""
    url, rows = receiver
    site = tmp_path / "site.toml"
    site.write_text(
        f'state = "state"\n[source.file]\npath = "{CAPTURE}"\n'
        f'[sink.home]\nuse = "webhook"\nurl = "{url}"\ntoken = {{ env = "HOOK_TOKEN" }}\nmin_backoff = "100ms"\n'
    )
    found = btcore(environment, "run", "--once", "--verbose", "--config", str(site))
    assert found.returncode == 0, found.stderr
    assert [row["meter"] for row in rows] == ["312345"] * 7
    assert "a-secret-token" not in found.stderr


@pytest.mark.parametrize(("code", "requests"), [(401, 1), (403, 1), (404, 1), (400, 5), (422, 5)])
def test_a_wrong_token_throws_no_reading_away(
    environment: dict[str, str], tmp_path: Path, code: int, requests: int
) -> None:
    """What a person can mend stops it, at once or after a few samples that are all refused; its readings wait."""
    with HostedService(Reply(code)) as service:
        site = tmp_path / "site.toml"
        site.write_text(
            f'state = "state"\n[source.file]\npath = "{CAPTURE}"\n'
            f'[sink.home]\nuse = "webhook"\nurl = "{service.url}"\ntoken = {{ env = "HOOK_TOKEN" }}\n'
        )
        found = btcore(environment, "run", "--once", "--config", str(site))
    assert "stopped until a restart: " in found.stderr
    assert " 0 readings delivered, 0 dead letters" in found.stderr
    assert (found.returncode, len(service.requests)) == (69, requests)
