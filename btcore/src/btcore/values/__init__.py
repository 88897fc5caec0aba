"""One value of a setting: from what TOML can say to what a plugin is given, and back to text.

Nothing here knows which tables there are, or where in the file a value stands: that is the wing `config`.
"""
