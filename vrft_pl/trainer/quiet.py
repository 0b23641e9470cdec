"""What other packages say of things that are done here on purpose."""

from __future__ import annotations

import logging
import re
import warnings

import transformers

_SAID_ANYWAY = re.compile(
    r"Tip:"
    r"|`Trainer.fit` stopped"  # the run says why itself
    r"|TPU available|HPU available"
)
"""What Lightning says that asks for nothing and that nobody asked for."""


def quieten() -> None:
    """Silence advice about things done here on purpose, and progress bars of things done in a second."""
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
