"""btmon-sql: stores readings in a database that a URL names, for btcore."""
