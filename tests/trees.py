"""XML compared as what it says: tags, attributes, texts, children, and no spelling."""

from collections.abc import Collection
from typing import Any
from xml.etree.ElementTree import Element


def tree(element: Element, *, unordered: Collection[str] = ()) -> tuple[Any, ...]:
    """Return an element as plain values; children of the tags `unordered` are sorted, as their order means nothing."""
    children = [tree(child, unordered=unordered) for child in element]
    if element.tag in unordered:
        children.sort()
    return element.tag, sorted(element.attrib.items()), element.text or "", children
