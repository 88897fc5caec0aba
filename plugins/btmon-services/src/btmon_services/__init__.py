# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploaders to the hosted services that btmon knew: one module and one plugin a service.

A module is the form of a request, the table of replies, and the settings; `service.py` is what all of them share.
"""
