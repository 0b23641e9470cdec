"""What a class or a function takes, read from its source as `definitions` finds it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

import docstring_parser
import griffe

from vrft_pl.commands.definitions import Definition, at, find

_CHOICES = ("Literal[", "Union[", "Optional[")


@dataclass(frozen=True)
class Option:
    """One argument.

    Args:
        name: Its name.
        kind: Its type as the source has it; empty where it has none.
        default: Its default as the source has it; ``None`` where it has to be given.
        doc: What the docstring says of it.
        named: Import paths of what its type names.
    """

    name: str
    kind: str
    default: str | None
    doc: str
    named: tuple[str, ...] = ()


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
    if isinstance(found, griffe.Function):
        return [option for option in arguments(found, docs(found)) if option.name not in ("self", "cls")]
    options: dict[str, Option] = {}
    hidden, given = set[str](), 0
    for kind in (found, *found.mro()):
        init = constructor(kind)
        own = fields(kind) if init is None else arguments(init, docs(kind) | docs(init))[1 + given :]
        options |= {o.name: o for o in own if o.name not in hidden | set(options)}
        if init is not None:
            if not takes_more(init):
                break
            names, given = passed_on(init)
            hidden |= names
    return list(options.values())


def is_open(path: str) -> bool:
    """Whether a class takes arguments that its source does not name."""
    found = find(path)
    kinds = (found, *found.mro()) if isinstance(found, griffe.Class) else ()
    inits = [init for kind in kinds if (init := constructor(kind))]
    return all(map(takes_more, inits)) and bool(inits)


def constructor(kind: griffe.Class) -> griffe.Function | None:
    """The constructor that a class defines itself."""
    init = kind.members.get("__init__")
    return init if isinstance(init, griffe.Function) else None


def takes_more(function: griffe.Function) -> bool:
    """Whether a function has ``**kwargs``."""
    return any(parameter.kind is griffe.ParameterKind.var_keyword for parameter in function.parameters)


def arguments(function: griffe.Function, said: dict[str, str]) -> list[Option]:
    """Arguments of a function, those of variable number left out."""
    variable = (griffe.ParameterKind.var_positional, griffe.ParameterKind.var_keyword)
    own = [parameter for parameter in function.parameters if parameter.kind not in variable]
    return [option(part.name, part.annotation, part.default, said) for part in own]


def fields(kind: griffe.Class) -> list[Option]:
    """Arguments of a dataclass; of another class none."""
    if not any("dataclass" in str(d.value) for d in kind.decorators) and "NamedTuple" not in map(str, kind.bases):
        return []
    parts = [part for part in kind.members.values() if isinstance(part, griffe.Attribute) and part.annotation]
    own = [part for part in parts if "instance-attribute" in part.labels]  # a `ClassVar` is none
    return [option(part.name, part.annotation, part.value, docs(kind)) for part in own]


def option(name: str, kind: str | griffe.Expr | None, value: str | griffe.Expr | None, said: dict[str, str]) -> Option:
    """An argument of a class or a function."""
    parts = [*spelled_out(kind)]
    named = tuple(part.canonical_path for part in parts if isinstance(part, griffe.ExprName))
    return Option(name, "".join(map(str, parts)), text(value), said.get(name, ""), named)


def passed_on(init: griffe.Function) -> tuple[set[str], int]:
    """What a constructor gives to the next one itself, so that nobody else can: names, and how many by position."""
    calls = [node for node in ast.walk(ast.parse(dedent(init.source))) if isinstance(node, ast.Call)]
    nexts = [call for call in calls if ast.unparse(call.func) == "super().__init__"]
    names = {keyword.arg for call in nexts for keyword in call.keywords if keyword.arg}
    return names, max((sum(not isinstance(arg, ast.Starred) for arg in call.args) for call in nexts), default=0)


def docs(found: Definition) -> dict[str, str]:
    """What a docstring says of each argument."""
    parsed = docstring_parser.parse(found.docstring.value if found.docstring else "")
    return {param.arg_name: param.description or "" for param in parsed.params}


def text(value: str | griffe.Expr | None) -> str | None:
    """A default as it is written; that of a factory is what it makes."""
    given = value.arguments if isinstance(value, griffe.ExprCall) else ()
    for part in given:
        if isinstance(part, griffe.ExprKeyword) and part.name == "default_factory":
            return {"list": "[]", "dict": "{}"}.get(str(part.value), f"{part.value}()")
    return None if value is None else "".join(map(str, spelled_out(value)))


def spelled_out(value: str | griffe.Expr | None) -> Iterator[str | griffe.Expr]:
    """Parts of an expression; plain values and choices of some stand in the place of their names."""
    for part in value.iterate() if isinstance(value, griffe.Expr) else [value or ""]:
        stands_for = constant(part) if isinstance(part, griffe.ExprName) else None
        yield from spelled_out(stands_for) if stands_for else [part]


def constant(name: griffe.ExprName) -> str | griffe.Expr | None:
    """The plain value or choice that a name stands for; ``None`` where it stands for anything else."""
    found = at(path) if "." in (path := name.canonical_path) and not isinstance(name.parent, griffe.ExprName) else None
    value = found.value if isinstance(found, griffe.Attribute) else None
    return value if is_literal(value) or str(value).startswith(_CHOICES) else None


def is_literal(value: str | griffe.Expr | None) -> bool:
    """Whether an expression says what it is worth."""
    try:
        ast.literal_eval(str(value))
    except (ValueError, SyntaxError):
        return False
    return value is not None
