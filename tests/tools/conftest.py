import importlib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def tool():
    """Imports a module of `tools`, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))
        yield importlib.import_module
