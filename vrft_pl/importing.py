"""Imports of what stays until the process ends, without the search for garbage in it."""

from __future__ import annotations

import atexit
import gc
import sys
from importlib import import_module
from typing import Any


def imported(module: str) -> Any:
    """Import a module that stays until the process ends, with all that it imports.

    Torch, Lightning and transformers make a million objects. Python would look through them for garbage again and again
    while they are imported and while a run begins, which takes a second and frees 12 MB of 900. So its search is off
    meanwhile, and leaves out later on what there is by then.

    Args:
        module: Its name.
    """
    if module in sys.modules or not gc.isenabled():
        return import_module(module)
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # Triton, which dynamo imports, tells of leaks where it is not taken down
        gc.enable()
