# SPDX-License-Identifier: GPL-3.0-or-later
"""How a person names meters and channels on the command line: as in the configuration."""

from btcore.config.site import Site
from btcore.values.channels import known_channels
from btcore.values.invalid_value import ConversionContext


def naming_of(site: Site) -> ConversionContext:
    """Return the names of a site's meters and channels, with what its plugins declare."""
    decoders = [type(one.instance) for one in site.decoders]
    known = known_channels(decoders, [type(one.instance) for one in site.sources])
    return ConversionContext(
        site.file.parent, site.channels, meters=site.meters.names, labels=known.labels, complete=known.complete
    )
