# SPDX-License-Identifier: GPL-3.0-or-later
"""XML as services take it: built as a tree, so that whatever a description holds is written properly."""

import re
from xml.etree.ElementTree import Element, SubElement, tostring

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, in whatever form."""


def element(parent: Element | None, tag: str, /, **attributes: object) -> Element:
    """Make an element, the last one of its parent where it has one."""
    texts = {name: NOT_XML.sub("", str(value)) for name, value in attributes.items()}
    return Element(tag, texts) if parent is None else SubElement(parent, tag, texts)


def document(root: Element) -> bytes:
    """Write a tree as a document in UTF-8."""
    written: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return written
