"""From bytes to readings: packets found in a stream, their formats, and what else the protocol of a meter asks for.

Pure: no socket, clock, thread or file. A format is a table. What a meter has counted, and what follows for energy, is
the wing `calculate`; how bytes come in is a plugin's.
"""
