"""btmon-mysql: stores readings in a MySQL or MariaDB database, for btcore."""
