"""Runs that are killed and go on, and what they leave."""
