"""Inputs that are wrong, and what the command line makes of each."""
