# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking meters for packets: what is sent, what must come back, which device is asked when, and who answers.

Pure, as the wing `decode`: a plugin passes what sends and what receives. Commands that read or change the settings of
a meter are in the wing `device`.
"""
