"""Sources for btcore that need no meter: `simulator`, a plausible house, and `file`, a capture played again."""
