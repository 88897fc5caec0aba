# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore: reads Brultech energy monitors and delivers to databases and services, losing nothing.

This module is the public interface: what a plugin may import. Everything else is private to the core.
"""

from btcore.capture.files import CaptureError, read_capture
from btcore.channel_descriptions import ChannelDescription
from btcore.commands import Command, Configuration, LoadConfiguration, Table
from btcore.decode.brultech import FORMATS, pack
from btcore.errors import BtcoreError, ConfigurationError, Problem, Reject, Retry, Stop
from btcore.findings import DiagnosisContext, Finding
from btcore.formats import Channel, Format, Number
from btcore.further_channels import active_further_channels, visible_channels
from btcore.hookspecs import hookimpl
from btcore.import_progress import ImportProgress
from btcore.measurement import Measurement, measurements
from btcore.meter_commands import CommandFailed, CommandLine, MeterCommand, MeterCommands
from btcore.open_files import processes_holding, processes_listening
from btcore.polling.probing import ProbedDevice, answers_commands, probe_devices, sends_unasked
from btcore.polling.schedule import Poll, check_polling, validate_devices
from btcore.records import Batch, Chunk, Damaged, Incomplete, Packet, Piece, Reading, Sample, SourceCheckpoint
from btcore.schemas import SCHEMAS, Column, channels_in, columns, serial_column
from btcore.serial_names import SerialNames, Serials, shorten_serial
from btcore.settings import (
    ChannelRef,
    Claim,
    Context,
    Delivery,
    Duration,
    Polarity,
    Secret,
    Serial,
    Splitter,
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
    "ChannelDescription",
    "ChannelRef",
    "Chunk",
    "Claim",
    "Column",
    "Command",
    "CommandFailed",
    "CommandLine",
    "Configuration",
    "ConfigurationError",
    "Context",
    "Damaged",
    "Delivery",
    "DiagnosisContext",
    "Duration",
    "Finding",
    "Format",
    "ImportProgress",
    "Incomplete",
    "LoadConfiguration",
    "Measurement",
    "MeterCommand",
    "MeterCommands",
    "Number",
    "Packet",
    "Piece",
    "Polarity",
    "Poll",
    "ProbedDevice",
    "Problem",
    "Reading",
    "Reject",
    "Retry",
    "Sample",
    "Secret",
    "Serial",
    "SerialNames",
    "Serials",
    "SourceCheckpoint",
    "Splitter",
    "Stop",
    "StreamStatus",
    "Table",
    "__version__",
    "active_further_channels",
    "answers_commands",
    "channels_in",
    "check_polling",
    "columns",
    "hookimpl",
    "measurements",
    "pack",
    "plugin",
    "probe_devices",
    "processes_holding",
    "processes_listening",
    "read_capture",
    "sends_unasked",
    "serial_column",
    "setting",
    "shorten_serial",
    "validate_devices",
    "visible_channels",
]
