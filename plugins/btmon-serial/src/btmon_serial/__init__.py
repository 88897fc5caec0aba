"""btmon-serial: Brultech energy monitors on a serial line, for btcore. The plugin is in `line`."""
