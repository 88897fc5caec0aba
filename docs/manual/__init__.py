# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual: how the pages of this repository become a site. `mkdocs.yml` has its settings, `nox -s docs` builds it.

`pages` says which files are pages, and where a link leads; `navigation` where a page stands; `reference` writes pages
from the code; `hook` is what mkdocs calls. Nothing here is installed.
"""
