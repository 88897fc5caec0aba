# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that the core makes to a sink's plugin, made without a worker: for tests of what the plugin itself does."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from btcore import Batch, Context, Delivery


def process_batches(plugin: object, batches: Iterable[Batch], context: Context | None = None) -> None:
    """Open a plugin, let it deliver these batches, no more at once than it takes, and close it."""
    sink: Any = plugin
    sink.open(context or make_context())
    try:
        for batch in batches:
            for part in split_batch(batch, sink.delivery):
                sink.process_batch(part)
    finally:
        sink.close()


def preview_batches(plugin: object, batches: Iterable[Batch], context: Context | None = None) -> list[str]:
    """Open a plugin for a dry run; return the lines that it shows of these batches."""
    sink: Any = plugin
    sink.open(context or make_context(dry_run=True))
    try:
        return [
            line for batch in batches for part in split_batch(batch, sink.delivery) for line in sink.preview_batch(part)
        ]
    finally:
        sink.close()


def split_batch(batch: Batch, delivery: Delivery) -> Iterator[Batch]:
    """Cut a batch as the core does for a sink: so many readings at most, each with its sample."""
    for start in range(0, len(batch.readings), delivery.batch_size):
        readings = batch.readings[start : start + delivery.batch_size]
        yield Batch(readings, tuple(sample for sample in batch.samples if sample.newer in readings))


def make_context(name: str = "sink.test", *, dry_run: bool = False, **channels: str) -> Context:
    """Make what a plugin is told when it is opened."""
    return Context(name, logging.getLogger(name), channels=channels, polarity="btmon", dry_run=dry_run)
