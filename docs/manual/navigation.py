# SPDX-License-Identifier: GPL-3.0-or-later
"""The navigation of the manual: that of mkdocs.yml, completed by what it does not name. Pure.

A new page is found all the same: a decision among the decisions, a plugin among the plugins, any other in the section
for those who build on btcore.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SECTIONS: Mapping[str, str] = {
    "adr/": "Decisions",
    "plugins/": "More plugins",
    "performance": "Reference",
    "": "Your own plugin",
}
"""Where a page goes that the navigation does not name, by how its place begins."""

Entries = list[Any]
"""The navigation as mkdocs has it: pages, and sections `{title: entries}`."""


def complete(nav: Entries, titles: Mapping[str, str]) -> Entries:
    """Return the navigation with each page in it; `titles` are those of all pages."""
    named = set(named_pages(nav))
    missing = {page: title for page, title in titles.items() if page not in named}
    return list(_filled(nav, missing))


def named_pages(nav: Iterable[Any]) -> Iterator[str]:
    """Yield the pages that a navigation names."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict):
            for inner in entry.values():
                yield from named_pages(inner if isinstance(inner, list) else [inner])


def _filled(nav: Entries, missing: Mapping[str, str]) -> Iterator[Any]:
    for entry in nav:
        (title, inner), *_ = entry.items() if isinstance(entry, dict) else [("", None)]
        if not isinstance(inner, list):
            yield entry
            continue
        more = [{name: page} for page, name in missing.items() if _section(page) == title]
        if filled := [*_filled(inner, missing), *more]:
            yield {title: filled}


def _section(page: str) -> str:
    return next(title for begin, title in SECTIONS.items() if page.startswith(begin))
