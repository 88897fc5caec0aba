# SPDX-License-Identifier: GPL-3.0-or-later
"""What mkdocs calls while it builds the manual: pages that are not files of docs/ are added, and links written anew."""

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parents[1]))  # mkdocs loads this file by its path, so nothing else of it is found

from manual.navigation import complete
from manual.pages import DECISIONS, from_elsewhere, list_of_decisions, pages, text_of, title_of, with_links
from manual.reference import written

ELSEWHERE = "https://unpkg.com/"
"""Where the theme's script would load from: help for a search without a server, and diagrams, which no page has."""

LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>""")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add to the navigation what it does not name: decisions by their titles, pages that are new."""
    nav: list[Any] = config["nav"]
    config["nav"] = complete(nav, {page: title_of(page) for page in pages()})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are taken from elsewhere, and those that are written from the code."""
    for page in from_elsewhere():
        files.append(File.generated(config, page, content=text_of(page)))
    for page, text in written().items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write the links of a page of docs/ anew: those that lead out of it."""
    del config, files
    place = page.file.src_uri
    file = pages().get(place, "")
    if place == DECISIONS:
        markdown += f"\n\n{list_of_decisions()}\n"
    return with_links(markdown, file, place) if file.startswith("docs/") else markdown


def on_post_build(config: MkDocsConfig) -> None:
    """See that no page loads anything from elsewhere, nor the theme's script where pages are opened as files."""
    site = Path(config["site_dir"])
    for file in [*site.rglob("*.map")]:
        file.unlink()  # for who changes the theme: most of the bytes
    for file in site.rglob("*.js"):
        file.write_text(file.read_text("utf-8").replace(ELSEWHERE, ""), "utf-8")
    for file in site.rglob("*.html"):
        if found := LOADED.search(file.read_text("utf-8")):
            raise PluginError(f"{file.relative_to(site)} would load from elsewhere: {found[0]}")
