"""btmon-print: prints what the meters measure, for btcore."""
