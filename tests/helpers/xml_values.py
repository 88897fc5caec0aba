# SPDX-License-Identifier: GPL-3.0-or-later
"""XML as plain values, which compare equal where it says the same: tags, attributes, texts, children, no spelling."""

from collections.abc import Collection
from typing import Any
from xml.etree.ElementTree import Element


def xml_values(element: Element, *, unordered: Collection[str] = ()) -> tuple[Any, ...]:
    """Return an element as plain values; children of the tags `unordered` are sorted, as their order means nothing."""
    children = [xml_values(child, unordered=unordered) for child in element]
    if element.tag in unordered:
        children.sort()
    return element.tag, sorted(element.attrib.items()), element.text or "", children
