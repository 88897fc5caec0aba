# SPDX-License-Identifier: GPL-3.0-or-later
"""Real database servers for tests: MariaDB and PostgreSQL, each in a directory of its own, on a port of its own.

    with MariaDB(tmp_path) as server:
        server.sql("CREATE USER reader")
        server.kill(), server.start()

They are stopped at the end of the block. A test that uses them is marked `servers`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self

from servers.certificates import Authority

from btcore.testing import wait_for

NOBODY = "nobody"
"""The user that the servers run as where the tests are run by root: PostgreSQL refuses root."""

POSTGRESQL_PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))


def free_port() -> int:
    """Return a TCP port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class DatabaseServer:
    """A server process in a directory of its own."""

    stopping = signal.SIGTERM
    """The signal that ends it, whoever is connected."""

    def __init__(self, port: int | None = None, *, disk: Path | None = None, options: Sequence[str] = ()) -> None:
        """Choose a port; nothing is started yet. The directory is short, as the path of a socket must be.

        It is on a `disk`, if one is given. `options` are further words of the server's command.
        """
        self.port = port or free_port()
        self.folder = Path(mkdtemp(prefix="db", dir=disk))
        self.options = list(options)
        self.process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            account = pwd.getpwnam(NOBODY)
            os.chown(self.folder, account.pw_uid, account.pw_gid)

    def __enter__(self) -> Self:
        """Create the data and start."""
        self.create()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and remove the directory."""
        self.kill()
        shutil.rmtree(self.folder)

    def create(self) -> None:
        """Create an empty data directory."""
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        """Return the command that is the server."""
        raise NotImplementedError

    def is_up(self) -> bool:
        """Whether it answers."""
        raise NotImplementedError

    def start(self) -> None:
        """Start, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(self.as_user(self.command()), stdout=log, stderr=log, cwd=self.folder)
        wait_for(self.is_up, f"a server in {self.folder}")

    def stop(self) -> None:
        """Stop as a computer that shuts down does."""
        self._end(self.stopping)

    def kill(self) -> None:
        """End at once, as when the power fails."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None

    def run(self, command: Sequence[str]) -> None:
        """Run a program to its end."""
        done = subprocess.run(self.as_user(command), capture_output=True, text=True, cwd=self.folder, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def certify(self, authority: Authority) -> tuple[Path, Path]:
        """Take certificate and key of an authority into the server's directory, for its user alone; return them."""
        certificate, key = (Path(shutil.copy(file, self.folder)) for file in authority.certify())
        key.chmod(0o600)
        if os.geteuid() == 0:
            account = pwd.getpwnam(NOBODY)
            for file in (certificate, key):
                os.chown(file, account.pw_uid, account.pw_gid)
        return certificate, key

    def as_user(self, command: Sequence[str]) -> list[str]:
        """Return a command that is run by a user who is not root."""
        if os.geteuid() != 0:
            return list(command)
        account = pwd.getpwnam(NOBODY)
        ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--pdeathsig=KILL"]
        return ["setpriv", *ids, *command]


class MariaDB(DatabaseServer):
    """MariaDB, whose administrator is `root` without a password."""

    @property
    def socket(self) -> str:
        """The socket of the server."""
        return str(self.folder / "s")

    @property
    def data(self) -> Path:
        """The directory of the data."""
        return self.folder / "data"

    def create(self) -> None:
        """Create an empty data directory."""
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db"]
        self.run([*install, "--auth-root-authentication-method=normal", f"--tmpdir={self.folder}"])

    def command(self) -> Sequence[str]:
        """Return the command that is the server: small, and not slowed down by the disk."""
        return [
            shutil.which("mariadbd") or "/usr/sbin/mariadbd",
            "--no-defaults",
            *(f"--datadir={self.data}", f"--socket={self.socket}", f"--pid-file={self.folder / 'pid'}"),
            f"--tmpdir={self.folder}",
            *(f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve"),
            *("--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2"),
            *self.options,
        ]

    def is_up(self) -> bool:
        """Whether it answers."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(self.socket)
            except OSError:
                return False
            return bool(client.recv(1))

    def connect(self, database: str | None = None) -> Any:  # noqa: ANN401 - PyMySQL's
        """Connect as the administrator."""
        import pymysql  # noqa: PLC0415 - only tests of packages that have it start this server

        return pymysql.connect(unix_socket=self.socket, user="root", database=database, autocommit=True)

    def sql(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the administrator; return its rows."""
        connection = self.connect(database)
        with connection, connection.cursor() as results:
            results.execute(statement)
            return list(results.fetchall())


class PostgreSQL(DatabaseServer):
    """PostgreSQL, whose administrator is `admin`, by the socket; over TCP all need a password."""

    stopping = signal.SIGINT

    @property
    def data(self) -> Path:
        """The directory of the data."""
        return self.folder / "data"

    def create(self) -> None:
        """Create an empty data directory."""
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={self._password_file()}"]
        self.run([str(POSTGRESQL_PROGRAMS / "initdb"), "-D", str(self.data), "-U", "admin", "-E", "UTF8", *auth])

    def _password_file(self) -> Path:
        file = self.folder / "password"
        file.write_text("secret\n")
        file.chmod(0o644)
        return file

    def command(self) -> Sequence[str]:
        """Return the command that is the server."""
        return [
            str(POSTGRESQL_PROGRAMS / "postgres"),
            *("-D", str(self.data), "-k", str(self.folder), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-c", "fsync=off", "-c", "shared_buffers=16MB"),
            *self.options,
        ]

    def is_up(self) -> bool:
        """Whether it answers."""
        import psycopg  # noqa: PLC0415 - only tests of packages that have it start this server

        try:
            self.connect().close()
        except psycopg.Error:
            return False
        return True

    def connect(self, database: str = "postgres") -> Any:  # noqa: ANN401 - psycopg's
        """Connect as the administrator."""
        import psycopg  # noqa: PLC0415 - see above

        where = {"host": str(self.folder), "port": self.port, "user": "admin"}
        return psycopg.connect(**where, dbname=database, autocommit=True)  # type: ignore[arg-type]

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the administrator; return its rows, if it has any."""
        with self.connect(database) as connection:
            results = connection.execute(statement)
            return list(results.fetchall()) if results.description else []

    def kill(self) -> None:
        """End at once, as when the power fails: the server's own processes see that and end too."""
        super().kill()
        (self.data / "postmaster.pid").unlink(missing_ok=True)
