"""The trials of `try_models`."""
