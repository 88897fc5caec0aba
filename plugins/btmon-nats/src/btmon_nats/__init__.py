# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings of many houses in one place: published to a stream of NATS JetStream, and collected from it."""
