"""The workers of sources: each runs one collector and hands what it brings to the journal.

Here is what is asked of everything from outside before it is kept: is it sound, which meter is it of, how much of it is
too much; and what is told when nothing comes, or nothing that is a packet.
"""
