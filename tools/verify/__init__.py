"""Checks of what a CPU cannot show."""
