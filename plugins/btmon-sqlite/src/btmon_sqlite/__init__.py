"""btmon-sqlite: stores readings in an SQLite file, for btcore."""
