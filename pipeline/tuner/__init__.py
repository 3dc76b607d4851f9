"""Runs a search from end to end."""
