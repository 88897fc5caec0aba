# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP for what others ask for: a bounded server of pages, and Prometheus's text format.

Public, as `btcore.web` is: `from btcore.serve import HttpServer, Page, Family, format_families`. It needs the standard
library alone. What is on a page belongs to whoever serves it; requests to others are those of `btcore.web`.
"""

from btcore.listen_address import listen_claims, parse_listen_address
from btcore.serve.exposition import EXPOSITION, Family, Labels, format_families
from btcore.serve.server import HttpServer, Page

__all__ = [
    "EXPOSITION",
    "Family",
    "HttpServer",
    "Labels",
    "Page",
    "format_families",
    "listen_claims",
    "parse_listen_address",
]
