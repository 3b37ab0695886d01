"""The ways in which network services are told their settings: YAML, key and value lines, Python assignments, options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

from tables.text.lines import unquoted
from tables.unseen import say_cut

# A service's settings are a few kilobytes; what is longer is no such file.
CONFIG_LIMIT = 256 * 1024
_MAX_ENTRIES = 5000
_MAX_DEPTH = 40
_PROPERTY = re.compile(r"([A-Za-z_][\w.-]*)(?:[ \t]*[=:][ \t]*|[ \t]+)(.*)")
_ASSIGNMENT = re.compile(r"c\.([A-Za-z_]\w*\.[A-Za-z_]\w*)[ \t]*=[ \t]*(.*)")


class Entry(NamedTuple):
    """One setting: its key (nested ones joined by dots), its value as written without quotes, its line from 1."""

    key: str
    value: str
    line: int


def yaml_entries(text: str) -> list[Entry]:
    """The scalars of the first YAML (or JSON) document, one entry a list element; ValueError for text that is neither.

    At most 5000 entries and 40 levels; what aliases repeat is repeated within those bounds only.
    """
    import yaml  # Parsing YAML takes tens of milliseconds of import time, which start-up does not need.

    from tables.text.bounded_yaml import BoundedLoader

    # JSON may be indented by tabs, which YAML does not allow; none is part of a setting that we look at.
    plain = text.replace("\t", " ") if text.lstrip().startswith("{") else text
    loader = BoundedLoader(_printable(plain))
    try:
        node = loader.get_node() if loader.check_node() else None
        return list(_flatten(node)) if node is not None else []
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"no YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()


def _printable(text: str) -> str:
    """Without the characters at which PyYAML gives up."""
    return "".join(char if char.isprintable() or char in "\n\r\t" else "?" for char in text)


def _flatten(root: Any) -> Iterator[Entry]:
    pending: list[tuple[str, Any, int]] = [("", root, 0)]
    visited = 0
    while pending and visited < _MAX_ENTRIES:
        key, node, depth = pending.pop()
        visited += 1
        if depth > _MAX_DEPTH:
            say_cut(f"a configuration in YAML is not read more than {_MAX_DEPTH} levels deep: {key[:80]}")
            continue
        if node.id == "scalar":
            yield Entry(key, str(node.value), node.start_mark.line + 1)
        elif node.id == "sequence":
            pending += [(key, item, depth + 1) for item in reversed(node.value[:_MAX_ENTRIES])]
        else:
            for name, value in reversed(node.value[:_MAX_ENTRIES]):
                inner = name.value if name.id == "scalar" else "?"
                pending.append((f"{key}.{inner}" if key else inner, value, depth + 1))


def property_entries(text: str) -> list[Entry]:
    """`key = value`, `key: value` and `key value` lines; keys as written, `#` comments and section headings left out."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        match = _PROPERTY.match(line.strip())
        if match:
            found.append(Entry(match[1], unquoted(_without_comment(match[2])), number))
    return found


def python_entries(text: str) -> list[Entry]:
    """The `c.Class.trait = value` lines of a traitlets configuration (Jupyter); keys are `Class.trait`."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        match = _ASSIGNMENT.match(line.strip())
        if match:
            value = _without_comment(match[2])
            found.append(Entry(match[1], unquoted(value[1:] if value[:2] in ("u'", 'u"') else value), number))
    return found


def _without_comment(value: str) -> str:
    """The value without a comment behind it; a `#` inside the quotes that it begins with is part of it."""
    quote = value[:1]
    start = value.find(quote, 1) + 1 if quote in ("'", '"') else 0
    comment = re.compile(r"(?:^|\s)#").search(value, start)
    return (value[: comment.start()] if comment else value).strip()


def last(entries: Sequence[Entry], *keys: str) -> Optional[Entry]:
    """The last entry with one of these keys: where a setting is repeated, the last one counts."""
    return next((entry for entry in reversed(entries) if entry.key in keys), None)


def option_values(argv: Sequence[str], *names: str) -> list[str]:
    """The values of the options `names` (as written, `--host`), joined by `=` or in the next word; "" for a bare switch."""
    found = []
    for index, word in enumerate(argv):
        name, joined, value = word.partition("=")
        if name in names:
            following = argv[index + 1] if index + 1 < len(argv) else ""
            found.append(unquoted(value) if joined else "" if following.startswith("-") else unquoted(following))
    return found


def switch(argv: Sequence[str], *names: str) -> Optional[bool]:
    """Whether a boolean option is on: `--tls`, `--tls=false`; None when it is not given."""
    value: Optional[bool] = None
    for word in argv:
        name, joined, text = word.partition("=")
        if name in names:
            value = not joined or is_true(unquoted(text))
    return value


def is_true(value: str) -> bool:
    """Whether a setting's value means yes."""
    return value.strip().lower() in ("true", "yes", "on", "1", "enabled", "t", "y")
