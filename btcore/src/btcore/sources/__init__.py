# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of sources: each runs one collector and writes its readings to the journal.

Here everything from outside is checked before it is kept: is it valid, which meter sent it, is it within the limits.
A source without data, or with bytes that are no packets, is reported here too.
"""
