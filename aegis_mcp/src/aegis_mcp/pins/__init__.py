"""Definitions that are trusted: what a server said of itself when it was first used, or approved."""
