# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore migrate`: makes a site.toml of a configuration, or a command line, of btmon.

The way of an option: it is read as btmon read it (`ini.py`, `command_line.py`, `options.py`), becomes a table of a
source or sink (`sources.py`, `databases.py`, `services.py`, `streams.py`), is checked (`checking.py`) and written
(`toml.py`).

What other programs have in YAML goes another way: `yaml_file.py`, `home_assistant.py`, `serial2mqtt.py`.

`btcore compare`: what btmon printed (`printed.py`) is lined up (`pairing.py`) with what btcore prints (`shadow.py`),
and each difference is named (`differences.py`).
"""
