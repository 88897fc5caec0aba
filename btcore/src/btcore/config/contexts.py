"""What an instance of a plugin is told when it is opened: made of the site and of its own table."""

import logging

from btcore.config.site import Decoder, Sink, Site, Source
from btcore.settings import Context, Duration


def context_of(site: Site, part: Source | Sink | Decoder, *, dry_run: bool = False) -> Context:
    """Return the context of a source, a sink or a decoder of a site."""
    polarity = part.delivery.polarity if isinstance(part, Sink) else None
    return Context(
        name=part.table,
        log=logging.getLogger(part.table),
        channels=site.channels,
        polarity=polarity or site.polarity,
        interval=part.delivery.interval if isinstance(part, Sink) else Duration(0),
        dry_run=dry_run,
    )
