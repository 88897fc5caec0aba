"""Recordings of what a meter sent, read from files: whatever tool made them, they become chunks with their times.

What is in the bytes is the wing `decode`'s.
"""
