"""What a class or a function takes, read from its source as `definitions` finds it."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

import docstring_parser

from vrft_pl.commands.definitions import Definition, Found, ancestors, assigned, find, home, method

_CHOICES = ("Literal[", "Union[", "Optional[")


@dataclass(frozen=True)
class Option:
    """One argument.

    Args:
        name: Its name.
        kind: Its type as the source has it; empty where it has none.
        default: Its default as the source has it; ``None`` where it has to be given.
        doc: What the docstring says of it.
        module: Whose names the type is written in.
    """

    name: str
    kind: str
    default: str | None
    doc: str
    module: str = ""


def options_of(path: str) -> list[Option] | None:
    """What is to be given to a class or a function, also by way of ``**kwargs`` to the classes it is made of.

    Args:
        path: Its import path.

    Returns:
        The options in their order; ``None`` where nothing of that name is found.

    Example:
        >>> [option.name for option in options_of("vrft_pl.runs.limits.YAMLLimits")]
        ['characters', 'levels', 'values']
    """
    if (found := find(path)) is None:
        return None
    if isinstance(found.node, ast.FunctionDef):
        return [o for o in arguments(found, found.node, docs(found.node)) if o.name not in ("self", "cls")]
    options: dict[str, Option] = {}
    hidden, given = set[str](), 0
    for kind in ancestors(found):
        init = method(kind.node, "__init__")
        if init is None and not is_dataclass(kind.node):
            continue
        said = docs(kind.node) | (docs(init) if init else {})
        own = fields(kind, said) if init is None else arguments(kind, init, said)[1 + given :]
        options |= {o.name: o for o in own if o.name not in hidden | set(options)}
        if init is not None:
            if init.args.kwarg is None:
                break
            names, given = passed_on(init)
            hidden |= names
    return list(options.values())


def is_open(path: str) -> bool:
    """Whether a class takes arguments that its source does not name."""
    found = find(path)
    inits = [method(kind.node, "__init__") for kind in ancestors(found)] if found else []
    return all(init.args.kwarg is not None for init in inits if init is not None) and any(inits)


def arguments(owner: Found, function: Definition, said: dict[str, str]) -> list[Option]:
    """Arguments of a function, those of variable number left out."""
    assert isinstance(function, ast.FunctionDef)
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    defaults = [*[None] * (len(positional) - len(args.defaults)), *args.defaults, *args.kw_defaults]
    pairs = zip([*positional, *args.kwonlyargs], defaults, strict=True)
    return [option(owner, arg.arg, arg.annotation, value, said) for arg, value in pairs]


def fields(owner: Found, said: dict[str, str]) -> list[Option]:
    """Arguments of a dataclass."""
    parts = [part for part in owner.node.body if isinstance(part, ast.AnnAssign)]
    own = [part for part in parts if not ast.unparse(part.annotation).startswith("ClassVar")]
    return [option(owner, ast.unparse(part.target), part.annotation, part.value, said) for part in own]


def option(owner: Found, name: str, kind: ast.expr | None, value: ast.expr | None, said: dict[str, str]) -> Option:
    """An argument of a class or a function."""
    kind, value = spelled_out(owner.module, kind), spelled_out(owner.module, value)
    return Option(name, ast.unparse(kind) if kind else "", text(value), said.get(name, ""), owner.module)


def passed_on(init: ast.FunctionDef) -> tuple[set[str], int]:
    """What a constructor gives to the next one itself, so that nobody else can: names, and how many by position."""
    calls = [node for node in ast.walk(init) if isinstance(node, ast.Call)]
    nexts = [call for call in calls if ast.unparse(call.func) == "super().__init__"]
    names = {keyword.arg for call in nexts for keyword in call.keywords if keyword.arg}
    return names, max((sum(not isinstance(arg, ast.Starred) for arg in call.args) for call in nexts), default=0)


def is_dataclass(node: Definition) -> bool:
    """Whether the fields of a class are its arguments."""
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return any("dataclass" in ast.unparse(d) for d in node.decorator_list) or "NamedTuple" in map(ast.unparse, bases)


def docs(node: Definition) -> dict[str, str]:
    """What a docstring says of each argument."""
    parsed = docstring_parser.parse(ast.get_docstring(node) or "")
    return {param.arg_name: param.description or "" for param in parsed.params}


def text(value: ast.expr | None) -> str | None:
    """A default as it is written; that of a factory is what it makes."""
    if isinstance(value, ast.Call) and (factory := {k.arg: k.value for k in value.keywords}.get("default_factory")):
        return {"list": "[]", "dict": "{}"}.get(ast.unparse(factory), f"{ast.unparse(factory)}()")
    return None if value is None else ast.unparse(value)


def spelled_out(module: str, value: ast.expr | None) -> ast.expr | None:
    """An expression with what the names in it stand for, where that is a plain value or a choice of some."""
    return None if value is None else Names(module).visit(copy.deepcopy(value))


class Names(ast.NodeTransformer):
    """Puts plain values and choices in the place of their names.

    Args:
        module: That uses the names.
    """

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Leave a name alone that stands for anything else."""
        module, _, name = home(f"{self.module}.{node.id}").rpartition(".")
        value = assigned(module, name) if module else None
        if value is None or not (is_literal(value) or ast.unparse(value).startswith(_CHOICES)):
            return node
        return Names(module).visit(copy.deepcopy(value))


def is_literal(value: ast.expr) -> bool:
    """Whether an expression says what it is worth."""
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True
