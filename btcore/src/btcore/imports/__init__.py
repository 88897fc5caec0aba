# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports: files in which another program kept what meters measured, read as readings without packets.

A capture, which has what the meter itself sent, is read in the wing `capture`. How either comes into the journal is in
`mending/file_import.py`.
"""
