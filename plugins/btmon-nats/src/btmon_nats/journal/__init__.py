# SPDX-License-Identifier: GPL-3.0-or-later
"""The stream as a journal: sinks on several computers read it themselves, and share its partitions.

What is in the stream is read by `reader.py`, and appended by `appending.py`; how far each sink has come, and what it
refused, is in key-value buckets beside it. What a message is, belongs to the room `messages` of the package.
"""
