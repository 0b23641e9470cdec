"""What other packages say of things that are done here on purpose."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import lightning.pytorch  # noqa: F401  # which formats warnings its own way
import transformers

_SAID_ANYWAY = re.compile(
    r"Tip:"
    r"|`Trainer.fit` stopped"  # the run says why itself
    r"|TPU available|HPU available"
)
"""What Lightning says that asks for nothing and that nobody asked for."""

PACKAGE = Path(__file__).parents[1]
USUAL = warnings.formatwarning
"""How warnings of others are written: Lightning's way."""


def in_a_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of ours without the line of source that it came from, which tells nothing of an input."""
    if issubclass(category, UserWarning) and Path(filename).is_relative_to(PACKAGE):
        return f"Warning: {message}\n"
    return USUAL(message, category, filename, lineno, line)


def quieten() -> None:
    """Silence advice about things done here on purpose, and progress bars of things done in a second.

    What this package warns of is shown without the line of source that says so.
    """
    expected = (
        "does not have many workers",
        "in eval mode at the start of training",
        "treespec, LeafSpec",
        "args parameter is intended",
        "was deprecated in v4.49",
        "skip_none parameter",
        "JsonargparseDeprecationWarning",
    )
    for message in expected:
        warnings.filterwarnings("ignore", f".*{message}.*")
    said = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    said.addFilter(lambda record: not _SAID_ANYWAY.search(record.msg))
    # importing it is enough, on a machine without a GPU
    logging.getLogger("DeepSpeed").addFilter(lambda record: "Setting accelerator to CPU" not in record.msg)
    transformers.utils.logging.disable_progress_bar()
    warnings.formatwarning = in_a_line
