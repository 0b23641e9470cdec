"""The commands of ``vrft_pl``, a file each; `vrft_pl.__main__` names them."""
