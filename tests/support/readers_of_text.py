"""What of tables/ reads text: its patterns, those of its data and of the packs' SQL, and its parsers, all found by looking."""

from __future__ import annotations

import collections
import contextlib
import functools
import importlib
import inspect
import pkgutil
import re
import struct
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import sqlglot
import yaml
from sqlglot import exp

import tables
from extension.pack.model import load_pack, shipped_pack
from tables.errors import TableError
from tables.indicators.pools import builtin_indicators
from tables.text.shell_words import Variables

_TEXTS = ("str", "bytes", "Union[str, bytes]", "Sequence[str]", "Iterable[str]", "list[str]", "list[bytes]", "Iterable[bytes]")
_METHODS = ("search", "match", "fullmatch", "sub", "subn", "finditer", "findall", "split")
# Arguments beside the text, by name where that is no text of the host's, else by type; those with a default keep it.
_NAMED: dict[str, Any] = {
    "path": "/etc/example.d", "separator": ",", "closer": ")", "table": "tcp", "kind": "pools", "category": "process",
    "prefix": "bc", "variable": "LD_PRELOAD", "key_type": "ssh-rsa", "position": 0, "start": 0, "remainder": 1, "fields": 7,
    "protocol": 6, "shells": frozenset({"sh"}), "wanted": frozenset({"a"}), "tags": (1000,), "groups": (("a", 1),),
    "account": frozenset({"a"}), "folders": ("/lib",), "tokens": (b"a",), "settings": (),
}  # fmt: skip
_TYPED: dict[str, Callable[[], Any]] = {
    "int": lambda: 1 << 20,
    "float": lambda: 1.8e9,
    "bool": lambda: True,
    "Optional[int]": lambda: None,
    "PoolIndicators": builtin_indicators,
    "Variables": Variables,
    "Callable[[str], Optional[str]]": lambda: lambda path: None,
    "Malformed": lambda: lambda number, why: ValueError(why),
    "Mapping[str, str]": lambda: {"a": "b"},
    "Match": lambda: lambda line: ("", None, line),
}
# What a parser may say of a text that is none of its language.
_REFUSALS = (ValueError, OSError, TableError, struct.error, yaml.YAMLError)


class HeldPattern(NamedTuple):
    """A compiled pattern: where it is held, and by which methods it is used."""

    where: str
    pattern: Union[re.Pattern[str], re.Pattern[bytes]]
    methods: tuple[str, ...]

    @property
    def source(self) -> str:
        """The pattern as text."""
        source = self.pattern.pattern
        return source if isinstance(source, str) else source.decode("latin-1")

    def read(self, text: str) -> None:
        """Use the pattern on `text` in all its ways."""
        subject: Any = text if isinstance(self.pattern.pattern, str) else text.encode("utf-8", "surrogateescape")
        for method in self.methods:
            if method in ("sub", "subn"):
                self.pattern.sub(lambda match: match[0], subject)
            elif method == "finditer":
                collections.deque(self.pattern.finditer(subject), 0)
            else:
                getattr(self.pattern, method)(subject)


class Parser(NamedTuple):
    """A function that reads text, as the type of its first parameter says."""

    name: str
    function: Callable[..., Any]

    def read(self, text: str) -> None:
        """Call it with `text`, and take all that it yields."""
        arguments = [self._argument(each, text) for each in self.parameters]
        with contextlib.suppress(*_REFUSALS):
            found = self.function(*arguments)
            if isinstance(found, types.GeneratorType):
                collections.deque(found, 0)

    def _argument(self, parameter: inspect.Parameter, text: str) -> Any:
        is_first = parameter is self.parameters[0] and not any(self._is_text(each) for each in self.parameters)
        if is_first or self._is_text(parameter):
            return _as(parameter.annotation, text)
        return _NAMED[parameter.name] if parameter.name in _NAMED else _TYPED[parameter.annotation]()

    @staticmethod
    def _is_text(parameter: inspect.Parameter) -> bool:
        return parameter.annotation in _TEXTS and parameter.name not in _NAMED

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """The parameters that need an argument."""
        return [each for each in inspect.signature(self.function).parameters.values() if _is_needed(each)]

    @property
    def unknown_parameters(self) -> list[str]:
        """Parameters of which no argument is known."""
        others = [each for each in self.parameters[1:] if not self._is_text(each) and each.name not in _NAMED]
        return [str(each) for each in others if each.annotation not in _TYPED]

    def literals(self) -> list[str]:
        """The short texts in the code of the function and of its module's private functions: words of its language."""
        functions = [value for value in vars(inspect.getmodule(self.function)).values() if inspect.isfunction(value)]
        own = [each for each in functions if each.__module__ == self.function.__module__]
        return sorted({word for function in own for word in _words(function.__code__)})

    def patterns(self) -> list[HeldPattern]:
        """The patterns of its module."""
        return [each for each in module_patterns() if each.where.startswith(self.function.__module__ + ".")]


def modules() -> Iterator[types.ModuleType]:
    """All modules of tables/."""
    for found in pkgutil.walk_packages(tables.__path__, "tables."):
        yield importlib.import_module(found.name)


@functools.cache
def module_patterns() -> list[HeldPattern]:
    """The patterns that modules and classes of tables/ hold by a name, also in tuples, lists and mappings."""
    found = {}
    for module in modules():
        for space in [vars(module), *(vars(each) for each in _own(module, inspect.isclass))]:
            for name, value in space.items():
                for held, holder, pattern in _patterns_in(value, name, module.__name__) if not name.startswith("__") else ():
                    found.setdefault(id(pattern), HeldPattern(f"{module.__name__}.{name}", pattern, _uses(held, holder)))
    return list(found.values())


def indicator_patterns() -> list[HeldPattern]:
    """The patterns in what the indicator files and lists of tables/ are loaded into."""
    found = {}
    for module in modules():
        if module.__name__.startswith(("tables.indicators.", "tables.reasons.")):
            for loader in _own(module, lambda each: hasattr(each, "cache_info")):
                if not inspect.signature(loader).parameters:
                    for name, holder, pattern in _patterns_in(loader(), "", module.__name__):
                        where = f"{module.__name__}.{loader.__name__}().{name}"
                        found[id(pattern)] = HeldPattern(where, pattern, _uses(name, holder))
    return list(found.values())


def pack_patterns() -> list[HeldPattern]:
    """The regular expressions in the SQL of the shipped pack, as far as Python reads them alike."""
    found = []
    for query in load_pack(shipped_pack()).queries():
        for call in sqlglot.parse_one(query.sql, dialect="sqlite").find_all(exp.Anonymous):
            literal = call.expressions[1] if call.name.lower() in ("regex_match", "regex_split") else None
            if isinstance(literal, exp.Literal):
                found.append(HeldPattern(query.name, re.compile(literal.this), ("search",)))
    return found


def parsers() -> list[Parser]:
    """The public functions of tables/ that take text or bytes first, in its modules' order."""
    found = {}
    for module in modules():
        for function in _own(module, lambda each: inspect.isfunction(inspect.unwrap(each))):
            plain = inspect.unwrap(function)
            parameters = list(inspect.signature(plain).parameters.values())
            if not plain.__name__.startswith("_") and parameters and parameters[0].annotation in _TEXTS:
                found[plain] = Parser(f"{module.__name__}.{plain.__name__}", plain)
    return list(found.values())


def _own(module: types.ModuleType, is_wanted: Callable[[Any], bool]) -> list[Any]:
    """What is defined in the module itself."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    return [value for value in own if callable(value) and is_wanted(value)]


@functools.cache
def _all_source() -> str:
    return "\n".join(path.read_text() for folder in tables.__path__ for path in sorted(Path(folder).rglob("*.py")))


def _patterns_in(value: Any, name: str, module: str, depth: int = 0) -> Iterator[tuple[str, str, re.Pattern[Any]]]:
    """The patterns held in `value`, each with the name that holds it, and the module of what has that name."""
    if isinstance(value, re.Pattern):
        yield name, module, value
        return
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inner = [(name, each) for each in value.values()]
    elif type(value).__module__.startswith("tables.") and not isinstance(value, type):
        module = type(value).__module__
        inner = list((value._asdict() if isinstance(value, tuple) else getattr(value, "__dict__", {})).items())
    elif isinstance(value, (tuple, list, set, frozenset)):
        inner = [(name, each) for each in value]
    for held, each in inner if depth < 6 else ():
        yield from _patterns_in(each, held, module, depth + 1)


def _uses(name: str, module: str) -> tuple[str, ...]:
    """The methods by which a pattern of this name is used; where it is handed on as `pattern`, those used on that."""
    own = inspect.getsource(sys.modules[module])
    for looked_for, source in ((name, own), (name, _all_source()), ("pattern", own)):
        methods = {each for each in re.findall(rf"\b{looked_for}\.(\w+)\b", source) if each in _METHODS}
        if looked_for and methods and not (source is not own and name.startswith("_")):
            return tuple(sorted(methods))
    return ("search",)


def _words(code: types.CodeType) -> Iterator[str]:
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            yield from _words(value)
        for each in value if isinstance(value, (tuple, frozenset)) else (value,):
            text: Optional[str] = each.decode("latin-1") if isinstance(each, bytes) else each if isinstance(each, str) else None
            if text and len(text) <= 16:
                yield text


def _is_needed(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def _as(annotation: str, text: str) -> Any:
    """`text` as a parameter wants it: of lists, one long element, and one that has many."""
    data = text.encode("utf-8", "surrogateescape")
    if annotation in ("str", "Union[str, bytes]"):
        return text
    if annotation == "bytes":
        return data
    return [text, *text.split()] if "str" in annotation else [data, *data.split(b"\n")]
