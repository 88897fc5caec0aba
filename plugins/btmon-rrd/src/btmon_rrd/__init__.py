"""btmon-rrd: stores readings in RRD files, reads them back and draws them, for btcore."""
