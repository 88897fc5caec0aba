# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 without OpenSSL."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from btcore.digest import sha256


@given(st.binary(max_size=300))
def test_it_is_the_digest_that_hashlib_makes(data: bytes) -> None:
    """Fingerprints that an earlier version has kept are the same."""
    assert sha256(data) == hashlib.sha256(data).digest()
