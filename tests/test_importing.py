"""What an import keeps out of the search for garbage."""

import gc
import subprocess
import sys

import pytest

from vrft_pl.importing import imported

TOLD = """
import atexit, gc
from vrft_pl.importing import imported
atexit.register(lambda: print(gc.get_freeze_count()))
{first}
print(imported({name!r}).__name__, gc.isenabled(), gc.get_freeze_count() > 0)
"""


@pytest.mark.parametrize(
    ("first", "name", "said"),
    [
        pytest.param("", "json", "json True True", id="for-the-first-time"),
        pytest.param("", "gc", "gc True False", id="once-more"),
        pytest.param("gc.disable()", "json", "json False False", id="without-a-search"),
    ],
)
def test_what_is_imported_is_left_out_of_the_search_for_garbage_until_the_end(first, name, said):
    done = subprocess.check_output([sys.executable, "-c", TOLD.format(first=first, name=name)], text=True)
    assert done.splitlines() == [said, "0"]


def test_the_search_goes_on_where_an_import_fails():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        imported("no_such_module")
    assert gc.isenabled()
