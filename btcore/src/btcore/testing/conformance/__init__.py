# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every plugin, whatever it does: `conforms` looks, and says what does not.

A room for each thing that is looked at; each yields faults, a sentence that says what is wrong and what to do. The
tools for that are in `kit/`; what is wrong with a class alone is found in `values/declarations.py`.
"""
