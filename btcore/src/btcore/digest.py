# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 for fingerprints and names: Python's own, as `random` does it. `hashlib` loads OpenSSL, which takes 4 MB.

Nothing that has to be secret depends on it but what is kept of a secret, which is the same by either.
"""

import importlib
from typing import Any

MODULES = ("_sha2", "_sha256", "hashlib")
"""Of Python 3.12 and later, of 3.11, and of all others."""


def _load() -> Any:  # noqa: ANN401 - the function of one of these modules
    for name in MODULES:
        try:
            return importlib.import_module(name).sha256
        except (ImportError, AttributeError):
            continue
    raise ImportError("this Python has no SHA-256")


_sha256 = _load()


def sha256(data: bytes) -> bytes:
    """Return the digest of some bytes, of 32 bytes."""
    return bytes(_sha256(data).digest())
