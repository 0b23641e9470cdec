import inspect
from importlib import import_module

import pytest
from jsonargparse import ArgumentParser

import vrft_pl
from vrft_pl.commands.definitions import find, public, summary
from vrft_pl.commands.nearest import PACKAGES
from vrft_pl.commands.signatures import options_of


def of_the_parser(kind):
    """What the parser of a run makes of a class."""
    parser = ArgumentParser()
    parser.add_class_arguments(kind, "x", fail_untyped=False)
    return set(parser.get_defaults().as_dict().get("x", {}))


@pytest.mark.parametrize(
    "package",
    [pytest.param(name, marks=[pytest.mark.nightly] if name == "policy" else []) for name in PACKAGES],
)
def test_options_are_those_that_the_parser_takes(package):
    """The plain way imports the class and asks it."""
    found = public(f"vrft_pl.{package}")
    assert found
    for name in found:
        kind = getattr(getattr(vrft_pl, package), name)
        read = options_of(f"vrft_pl.{package}.{name}")
        assert {option.name for option in read} == of_the_parser(kind), name
        own = inspect.signature(kind).parameters
        required = {option.name for option in read if option.default is None}
        assert required & set(own) == {n for n in required if n in own and own[n].default is inspect.Parameter.empty}


OWN = '''
from vrft_pl.rewards import Reward as Base
try:
    from elsewhere.kept import Kept
except ImportError:
    pass

class Mine(Base):
    """Mine. Not yours.

    Args:
        limit: Most words, e.g. 5. More are cut.
    """

    def __init__(self, limit: int, *, ways: Ways = DEFAULT, **kwargs):
        super().__init__(name="mine", **kwargs)

Ways = Literal["short", "long"]
DEFAULT = "short"
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_of_mine.py").write_text(OWN)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "__init__.py").write_text("1 / 0")
    (tmp_path / "elsewhere" / "kept.py").write_text("class Kept:\n    def __init__(self, a=1): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_class_of_ones_own_is_read_and_not_imported(own):
    options = {option.name: option for option in options_of("own_of_mine.Mine")}
    assert list(options) == ["limit", "ways", "weight", "start"]  # the name is given already
    assert options["limit"].default is None
    assert (options["ways"].kind, options["ways"].default) == ("Literal['short', 'long']", "'short'")
    assert [option.name for option in options_of("own_of_mine.Kept")] == ["a"]
    assert summary(find("own_of_mine.Mine")) == "Mine."


@pytest.mark.parametrize("path", ["Mine", "no_such_module.Mine", "vrft_pl.data.NoSuchClass", "own_of_mine.Nobody"])
def test_nothing_is_found_of_what_there_is_not(path, own):
    assert options_of(path) is None


PART = """
from typing import Optional
from .base import Base

class Part(Base):
    def __init__(self, of: Optional['Base'] = None, **kwargs): ...
"""


BASE = "class Base:\n    def __init__(self, a=1): ...\n"


def test_classes_are_followed_within_a_folder_and_out_of_quotes(tmp_path, monkeypatch):
    (tmp_path / "folder_of_mine").mkdir()  # a package without `__init__.py`
    (tmp_path / "folder_of_mine" / "part.py").write_text(PART)
    (tmp_path / "folder_of_mine" / "base.py").write_text(BASE)
    monkeypatch.syspath_prepend(str(tmp_path))
    of, a = options_of("folder_of_mine.part.Part")
    assert (of.kind, of.named) == ("Optional[Base]", ("typing.Optional", "folder_of_mine.base.Base"))
    assert (a.name, a.default) == ("a", "1")


def test_a_package_that_is_imported_is_read_too_whatever_it_made_of_its_place(tmp_path, monkeypatch):
    """Transformers puts a ``Path`` there, which Python's own finder passes over."""
    (tmp_path / "imported_of_mine").mkdir()
    (tmp_path / "imported_of_mine" / "__init__.py").write_text("")
    (tmp_path / "imported_of_mine" / "base.py").write_text(BASE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import_module("imported_of_mine").__spec__.submodule_search_locations = [tmp_path / "imported_of_mine"]
    assert [option.name for option in options_of("imported_of_mine.base.Base")] == ["a"]


def test_a_function_of_the_name_of_its_module_is_found(tmp_path, monkeypatch):
    (tmp_path / "alike_of_mine").mkdir()
    (tmp_path / "alike_of_mine" / "__init__.py").write_text("from alike_of_mine.told import told\n")
    (tmp_path / "alike_of_mine" / "told.py").write_text("def told(text): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find("alike_of_mine.told").path == find("alike_of_mine.told.told").path == "alike_of_mine.told.told"
