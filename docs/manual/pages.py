# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of the repository are pages of the manual, and where their links lead there. Pure, but for reading files.

A page of docs/ has the same place in the manual. The others (the READMEs of the plugins, the change log) are taken from
where they are, and their links are written anew.
"""

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

OWN = Path("docs/manual")
"""The folder that makes the manual, and is none of it."""

HOME = "index.md"
"""The first page, which is also what a link to the README of the repository or of the core leads to."""

DECISIONS = "adr/README.md"
"""The page before the decisions."""

ELSEWHERE: Mapping[str, str] = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "tests/golden/QUIRKS.md": "quirks.md",
}
"""Pages outside of docs/ and of the plugins, by their files."""

AS_HOME = ("README.md", "btcore/README.md")

_CODE = r"^```.*?^```[^\n]*$|`[^`\n]+`"
_LINK = r"\[(?P<shown>(?:`[^`\n]+`|[^\]\[`])*)\]\((?P<link>[^)\s#]+)(?P<anchor>(?:#[^)\s]*)?)\)"
_LINK_OR_CODE = re.compile(f"{_LINK}|{_CODE}", re.MULTILINE | re.DOTALL)
"""Whichever begins first: a link may show code, and code may have what looks like a link."""
_FILE_NAME = re.compile(r"[\w./-]+\.md")
_ITEM = re.compile(r" *[*-] ")


def pages(root: Path = ROOT) -> dict[str, str]:
    """Return the file of each page, relative to the repository, by the page's place in the manual."""
    found = {file.removeprefix("docs/"): file for file in _files(root, "docs/**/*.md") if OWN not in Path(file).parents}
    for file in _files(root, "plugins/*/README.md"):
        found[f"plugins/{Path(file).parent.name}.md"] = file
    return found | {page: file for file, page in ELSEWHERE.items() if (root / file).is_file()}


def from_elsewhere(root: Path = ROOT) -> dict[str, str]:
    """Return the pages whose files are not below docs/."""
    return {page: file for page, file in pages(root).items() if not file.startswith("docs/")}


def text_of(page: str, root: Path = ROOT) -> str:
    """Return the text of a page, its links those of the manual, each list apart from the paragraph before it."""
    file = pages(root)[page]
    return apart(with_links((root / file).read_text("utf-8"), file, page, root))


def apart(text: str) -> str:
    """Return a text with a blank line between a paragraph and the list that begins right behind it.

    A forge shows such a list; mkdocs takes it for a part of the paragraph.
    """
    lines: list[str] = []
    is_list = is_code = False
    for line in text.split("\n"):
        is_code ^= line.startswith("```")
        is_item = not is_code and _ITEM.match(line) is not None
        if is_item and not is_list and lines and lines[-1]:
            lines.append("")
        is_list = is_item or (is_list and line.startswith(" "))
        lines.append(line)
    return "\n".join(lines)


def with_links(text: str, file: str, page: str, root: Path = ROOT) -> str:
    """Return a text of a file with its links as the page at this place needs them. Code is left as it is.

    A link that shows the name of a file shows the title of the page.
    """
    places = {other: place for place, other in pages(root).items()} | dict.fromkeys(AS_HOME, HOME)

    def replaced(found: re.Match[str]) -> str:
        if found["link"] is None:
            return found[0]
        shown, link, anchor = found["shown"], found["link"], found["anchor"]
        target = _target(link, file)
        place = places.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else "")
        if not place or "://" in link:
            return found[0]
        if _FILE_NAME.fullmatch(shown) and (root / target).is_file():
            shown = _title((root / target).read_text("utf-8"))
        return f"[{shown}]({_relative(place, page)}{anchor})"

    return _LINK_OR_CODE.sub(replaced, text)


def title_of(page: str, root: Path = ROOT) -> str:
    """Return the first heading of a page, without the marks of code: for lists, which show no markup."""
    return _title((root / pages(root)[page]).read_text("utf-8")).replace("`", "")


def list_of_decisions(root: Path = ROOT) -> str:
    """Return a list of all decisions, for the page that stands before them."""
    decisions = [page for page in pages(root) if page.startswith("adr/") and page != DECISIONS]
    return "\n".join(f"- [{title_of(page, root)}]({posixpath.basename(page)})" for page in decisions)


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").strip()


def _files(root: Path, pattern: str) -> Iterator[str]:
    return (path.relative_to(root).as_posix() for path in sorted(root.glob(pattern)))


def _target(link: str, file: str) -> str:
    """Return the file that a link of a file leads to, relative to the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), link))


def _relative(place: str, page: str) -> str:
    return os.path.relpath(place, posixpath.dirname(page) or ".").replace(os.sep, "/")
