# SPDX-License-Identifier: GPL-3.0-or-later
"""btcore: reads Brultech energy monitors and delivers to databases and services, losing nothing.

This module is the public interface: what a plugin may import. Everything else is private to the core.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from btcore.channel_descriptions import ChannelDescription
from btcore.decode.brultech import FORMATS, pack
from btcore.errors import BtcoreError, ConfigurationError, Problem, Reject, Retry, Stop
from btcore.formats import Channel, Format, Number
from btcore.further_channels import active_further_channels, visible_channels
from btcore.hookspecs import hookimpl
from btcore.meter_commands import CommandFailed, CommandLine, MeterCommand, MeterCommands
from btcore.records import Batch, Chunk, Damaged, Incomplete, Packet, Piece, Reading, Sample, SourceCheckpoint
from btcore.schemas import SCHEMAS, Column, channels_in, columns, serial_column
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

if TYPE_CHECKING:
    from btcore.capture.files import CaptureError, read_capture
    from btcore.commands import Command, Configuration, LoadConfiguration, Table
    from btcore.discovered import Discovered
    from btcore.findings import DiagnosisContext, Finding
    from btcore.import_progress import ImportProgress
    from btcore.measurement import Measurement, measurements
    from btcore.open_files import processes_holding, processes_listening
    from btcore.polling.probing import ProbedDevice, answers_commands, probe_devices, sends_unasked
    from btcore.polling.schedule import Poll, check_polling, validate_devices
    from btcore.serial_names import SerialNames, Serials, shorten_serial
    from btcore.setting_checks import file_problems, host_problems, timeout_problems
    from btcore.tariff import Prices, Rate, RateChange, Tariff, Tier, TimePrice

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
    "Discovered",
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
    "Prices",
    "ProbedDevice",
    "Problem",
    "Rate",
    "RateChange",
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
    "Tariff",
    "Tier",
    "TimePrice",
    "__version__",
    "active_further_channels",
    "answers_commands",
    "channels_in",
    "check_polling",
    "columns",
    "file_problems",
    "hookimpl",
    "host_problems",
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
    "timeout_problems",
    "validate_devices",
    "visible_channels",
]

_LATER = {
    "CaptureError": "btcore.capture.files",
    "Command": "btcore.commands",
    "Configuration": "btcore.commands",
    "DiagnosisContext": "btcore.findings",
    "Discovered": "btcore.discovered",
    "Finding": "btcore.findings",
    "ImportProgress": "btcore.import_progress",
    "LoadConfiguration": "btcore.commands",
    "Measurement": "btcore.measurement",
    "Poll": "btcore.polling.schedule",
    "Prices": "btcore.tariff",
    "ProbedDevice": "btcore.polling.probing",
    "Rate": "btcore.tariff",
    "RateChange": "btcore.tariff",
    "SerialNames": "btcore.serial_names",
    "Serials": "btcore.serial_names",
    "Table": "btcore.commands",
    "Tariff": "btcore.tariff",
    "Tier": "btcore.tariff",
    "TimePrice": "btcore.tariff",
    "answers_commands": "btcore.polling.probing",
    "check_polling": "btcore.polling.schedule",
    "file_problems": "btcore.setting_checks",
    "host_problems": "btcore.setting_checks",
    "measurements": "btcore.measurement",
    "probe_devices": "btcore.polling.probing",
    "processes_holding": "btcore.open_files",
    "processes_listening": "btcore.open_files",
    "read_capture": "btcore.capture.files",
    "sends_unasked": "btcore.polling.probing",
    "shorten_serial": "btcore.serial_names",
    "timeout_problems": "btcore.setting_checks",
    "validate_devices": "btcore.polling.schedule",
}
"""Names of which most runs use none: the module of each is imported with its first use, a third of all."""


if not TYPE_CHECKING:  # a type checker would believe that there is every name

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - what the module has
        """Import a name of `_LATER`."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_LATER[name]), name)
        return value
