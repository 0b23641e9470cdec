"""Configs that come with the package, for those who have no checkout of its repository."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def shipped(path: str) -> str:
    """Where a config is that is named as in the repository: where it says, and else in the package.

    Args:
        path: A path, or any other argument, which stays as it is.
    """
    there = PACKAGE / path
    return str(there) if path.startswith("configs/") and there.is_file() and not Path(path).exists() else path
