# SPDX-License-Identifier: GPL-3.0-or-later
"""The public names: all can be had, also those whose module is imported with their first use."""

import pytest

import btcore


@pytest.mark.parametrize("name", btcore.__all__)
def test_each_public_name_is_there(name: str) -> None:
    """A name of `__all__` is something."""
    assert getattr(btcore, name) is not None


def test_a_name_that_is_not_public_is_an_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        btcore.Nothing  # type: ignore[attr-defined] # noqa: B018 - to see it fail
