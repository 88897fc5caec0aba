# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for servers of tests, which nobody trusts who is not told to."""

import subprocess
from pathlib import Path

MAKE = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that vouches for itself; return its file, and that of its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    files = ["-keyout", str(key), "-out", str(certificate)]
    name = ["-subj", "/CN=a", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*MAKE, *files, *name], check=True, capture_output=True)
    key.chmod(0o644)  # servers that run as another user read it
    return certificate, key
