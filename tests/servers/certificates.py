# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of an authority of a test's own, made by openssl."""

import subprocess
from pathlib import Path

import attrs
import pytest

ADDRESS = "subjectAltName=IP:127.0.0.1"


@attrs.frozen
class Authority:
    """An authority whose files are in a directory: its own certificate, and those that it gives."""

    folder: Path
    name: str = "authority"

    @property
    def certificate(self) -> Path:
        """The certificate that clients trust."""
        return self.folder / f"{self.name}.pem"

    @property
    def key(self) -> Path:
        """The key of that."""
        return self.folder / f"{self.name}.key"

    def create(self) -> None:
        """Make the authority."""
        _openssl("req", "-x509", "-nodes", "-subj", f"/CN={self.name}", "-keyout", self.key, "-out", self.certificate)

    def certify(self) -> tuple[Path, Path]:
        """Make the certificate of a server at 127.0.0.1; return it, and its key."""
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        signed = ("-CA", self.certificate, "-CAkey", self.key, "-addext", ADDRESS)
        _openssl("req", "-x509", "-nodes", "-subj", "/CN=server", "-keyout", key, "-out", certificate, *signed)
        return certificate, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make an authority."""
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.create()
    return made


def _openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, words)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
