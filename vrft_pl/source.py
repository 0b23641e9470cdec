"""Which code a process runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent


def digest(folder: Path) -> str:
    """SHA-256 of the Python files below a folder: of their names and what is in them.

    Returns:
        64 hexadecimal digits.
    """
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        for part in (path.relative_to(folder).as_posix().encode(), path.read_bytes()):
            # each behind its length: parts that are cut elsewhere are other parts
            whole.update(len(part).to_bytes(8, "big"))
            whole.update(part)
    return whole.hexdigest()


SOURCE = digest(PACKAGE)
"""Of this package as it lay on the disk when the process began to import it: later, files may be others than those that
run. An edit or a checkout between the starts of two ranks makes collectives that do not fit each other."""
