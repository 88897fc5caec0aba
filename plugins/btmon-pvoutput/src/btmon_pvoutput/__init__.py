"""btmon-pvoutput: sends what a house generates and consumes to PVOutput, for btcore."""
