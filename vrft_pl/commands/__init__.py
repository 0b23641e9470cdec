"""The commands of ``vrft_pl``, a file each; `vrft_pl.__main__` names them."""

from vrft_pl.source import SOURCE  # before all that it is about is read

__all__ = ["SOURCE"]
