# SPDX-License-Identifier: GPL-3.0-or-later
"""A real mosquitto with users, access lists and TLS, which can be killed and started again; a client that listens.

`OldBroker` stands before one, and knows MQTT 3.1.1 only.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from servers.server_process import ServerProcess

from btcore.testing import free_port, wait_for
from btcore.testing.kit.waiting import PATIENCE

PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
"""mosquitto, which Debian has where the path of most users does not lead."""

NEEDED = ("mosquitto_passwd", "mosquitto_sub", "mosquitto_pub", "openssl")
HAS_ALL = PROGRAM and all(map(shutil.which, NEEDED))
MISSING = "" if HAS_ALL else "apt install mosquitto mosquitto-clients openssl: one is missing"
"""Why no broker can be started; "" if it can."""


class Mosquitto(ServerProcess):
    """A mosquitto with a directory of its own, on a port of its own; started by `with`.

    `users` are names and passwords; without any, everybody may come. `acl` has the lines of an access list. `tls` are
    the files of `Certificates`; with `asks`, clients need a certificate. What is retained survives a restart.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        acl: Sequence[str] = (),
        tls: "Certificates | None" = None,
        asks: bool = False,
        more: Sequence[str] = (),
    ) -> None:
        """Remember how."""
        self.port = free_port()
        self.users = dict(users or {})
        self.acl = list(acl)
        self.tls, self._asks, self._more = tls, asks, more
        self._folder = folder / f"mosquitto-{self.port}"
        self._folder.mkdir()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End it, at once."""
        if self._process is not None:
            self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(self._lines()) + "\n")
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-c", str(config)], stdout=log, stderr=log)
        wait_for(self._listens, "mosquitto to listen")

    def freeze(self, *, frozen: bool = True) -> None:
        """Stop it in the middle of what it does, as a computer that hangs; or let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def retained(self, pattern: str = "#") -> dict[str, str]:
        """Return what it has retained, by topic."""
        with Listener(self, pattern) as listener:
            listener.settle()
            return dict(listener.messages)

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish a message as another client does, where everybody may."""
        kept = ["-r"] if retain else []
        command = ["mosquitto_pub", "-p", str(self.port), "-q", "1", "-t", topic, "-s", *kept]
        subprocess.run(command, input=payload.encode(), check=True, timeout=PATIENCE)

    def _lines(self) -> list[str]:
        lines = [f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {self._folder}/"]
        lines += ["user root"] if os.geteuid() == 0 else []
        lines += [f"allow_anonymous {'false' if self.users else 'true'}", "max_queued_messages 0"]
        if self.users:
            passwords = self._folder / "passwords"
            passwords.write_text("".join(f"{user}:{password}\n" for user, password in self.users.items()))
            passwords.chmod(0o600)
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
            lines.append(f"password_file {passwords}")
        if self.acl:
            acl = self._folder / "acl"
            acl.write_text("\n".join(self.acl) + "\n")
            acl.chmod(0o600)
            lines.append(f"acl_file {acl}")
        if self.tls:
            lines += [f"cafile {self.tls.ca}", f"certfile {self.tls.server[0]}", f"keyfile {self.tls.server[1]}"]
            lines += [f"require_certificate {'true' if self._asks else 'false'}"]
        return [*lines, *self._more]

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log.txt").read_text()
        with socket.socket() as probe, suppress(OSError):
            probe.connect(("127.0.0.1", self.port))
            return True
        return False


class Certificates:
    """An authority, and the certificates that it has signed: PEM files in a directory."""

    def __init__(self, folder: Path) -> None:
        """Make them."""
        self._folder = folder
        self.ca, self._ca_key = self._self_signed("ca")
        self.other_ca, _ = self._self_signed("other")
        self.server = self._signed("server", "IP:127.0.0.1")
        self.elsewhere = self._signed("elsewhere", "DNS:broker.example")
        self.client = self._signed("client", "DNS:btcore")

    def _self_signed(self, name: str) -> tuple[Path, Path]:
        certificate, key = (self._folder / f"{name}.{end}" for end in ("crt", "key"))
        self._openssl("req", "-x509", *NEW_KEY, "-keyout", key, "-out", certificate, "-subj", f"/CN={name}")
        return certificate, key

    def _signed(self, name: str, alternative: str) -> tuple[Path, Path]:
        certificate, key, request = (self._folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        self._openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n")
        signed_by = ("-CA", self.ca, "-CAkey", self._ca_key, "-CAcreateserial")
        self._openssl(
            "x509", "-req", "-in", request, *signed_by, "-days", 30, "-extfile", extensions, "-out", certificate
        )
        return certificate, key

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=self._folder)


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Listener:
    """A client that has all messages of some topics, in the order in which they come; started by `with`.

    `messages` are topics and payloads.
    """

    def __init__(self, broker: Mosquitto, pattern: str = "#", *, user: str = "", password: str = "") -> None:
        """Remember whom to ask, and for what."""
        self.messages: list[tuple[str, str]] = []
        given = [*(["-u", user] if user else []), *(["-P", password] if password else [])]
        certificate, key = broker.tls.client if broker.tls else (Path(), Path())
        tls = ["--cafile", str(broker.tls.ca), "--cert", str(certificate), "--key", str(key)] if broker.tls else []
        to = ["-h", "127.0.0.1", "-p", str(broker.port), *given, *tls]
        self._publish = ["mosquitto_pub", *to]
        listened = (pattern, MARK)
        topics = [part for topic in listened for part in ("-t", topic)]
        self._command = ["mosquitto_sub", *to, "-q", "1", *topics, "-F", "%j", "-V", "5"]
        self._marks = 0

    def __enter__(self) -> Self:
        """Subscribe."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.settle()
        return self

    def __exit__(self, *_error: object) -> None:
        """End."""
        self._process.kill()
        self._process.wait()
        self._thread.join(PATIENCE)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def settle(self) -> None:
        """Wait until all that was published so far has come: until something comes that is published now."""
        before = self._marks

        def has_come() -> bool:
            assert self._process.poll() is None, "mosquitto_sub has ended"
            subprocess.run([*self._publish, "-q", "1", "-t", MARK, "-m", "mark"], check=True, timeout=PATIENCE)
            return self._marks > before

        wait_for(has_come, "a message")

    def payloads(self, topic: str) -> list[str]:
        """Return the payloads of a topic, oldest first."""
        return [payload for found, payload in self.messages if found == topic]

    def states(self, topic: str) -> list[dict[str, Any]]:
        """Return the payloads of a topic, as tables of JSON."""
        return [json.loads(payload) for payload in self.payloads(topic) if payload]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if message["topic"] == MARK:
                self._marks += 1
            else:
                self.messages.append((message["topic"], message.get("payload") or ""))


MARK = "listener/mark"
"""A topic of the listener's own."""


class OldBroker:
    """What stands before a broker and refuses MQTT 5 as brokers of 3.1.1 do, or, `rudely`, without a word."""

    def __init__(self, broker: Mosquitto, *, rudely: bool = False) -> None:
        """Remember who answers all else."""
        self.versions: list[int] = []
        self._broker, self._rudely = broker, rudely

    def __call__(self, connection: socket.socket, _closing: threading.Event) -> None:
        """Serve a connection: a `Talk` of a `RawServer`."""
        first = connection.recv(4096)
        version = first[first.index(b"MQTT") + 4]
        self.versions.append(version)
        if version > 4:
            connection.sendall(b"" if self._rudely else b"\x20\x02\x00\x01")
            return
        with socket.create_connection(("127.0.0.1", self._broker.port)) as behind:
            behind.sendall(first)
            back = threading.Thread(target=_copy, args=(behind, connection))
            back.start()
            _copy(connection, behind)
            back.join(PATIENCE)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
