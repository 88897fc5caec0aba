"""btcore: reads Brultech energy monitors and delivers to databases and services, losing nothing.

This module is the public interface: what a plugin may import. Everything else is private to the core.
"""

from btcore.capture.files import CaptureError, read_capture
from btcore.commands import Command, Configuration, LoadConfiguration, Table
from btcore.decode.brultech import FORMATS, pack
from btcore.decode.further_channels import active_further_channels, visible_channels
from btcore.decode.polling import Poll, validate_devices
from btcore.decode.schemas import SCHEMAS, Column, channels_in, columns, serial_column
from btcore.errors import BtcoreError, Problem, Reject, Retry, Stop
from btcore.formats import Channel, Format, Number
from btcore.hookspecs import hookimpl
from btcore.records import Batch, Chunk, Damaged, Incomplete, Packet, Reading, Sample, SourceCheckpoint
from btcore.settings import (
    ChannelRef,
    Claim,
    Context,
    Delivery,
    Duration,
    Polarity,
    Secret,
    Serial,
    StreamStatus,
    plugin,
    setting,
)
from btcore.version import API, __version__

__all__ = [
    "API",
    "FORMATS",
    "SCHEMAS",
    "Batch",
    "BtcoreError",
    "CaptureError",
    "Channel",
    "ChannelRef",
    "Chunk",
    "Claim",
    "Column",
    "Command",
    "Configuration",
    "Context",
    "Damaged",
    "Delivery",
    "Duration",
    "Format",
    "Incomplete",
    "LoadConfiguration",
    "Number",
    "Packet",
    "Polarity",
    "Poll",
    "Problem",
    "Reading",
    "Reject",
    "Retry",
    "Sample",
    "Secret",
    "Serial",
    "SourceCheckpoint",
    "Stop",
    "StreamStatus",
    "Table",
    "__version__",
    "active_further_channels",
    "channels_in",
    "columns",
    "hookimpl",
    "pack",
    "plugin",
    "read_capture",
    "serial_column",
    "setting",
    "validate_devices",
    "visible_channels",
]
