"""A site.toml becomes settings and instances of plugins; every mistake in it is told, with its line.

Nothing is opened, and nothing sent: what runs is the wings `sources`, `sinks` and `runtime`.
"""
