# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures: recordings of what a meter sent. Whatever tool made the file, it is read as chunks with their times.

What the bytes mean is decided in the wing `decode`.
"""
