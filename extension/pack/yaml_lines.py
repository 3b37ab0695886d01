"""YAML whose mappings know the lines of their keys, so that what is wrong can be told by line."""

from __future__ import annotations

from typing import Any

import yaml

from tables.text.bounded_yaml import BoundedLoader


class Mapping(dict[str, Any]):
    """A YAML mapping that knows the lines of its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class Loader(BoundedLoader):
    """The loader of YAML that others write, with line numbers, and refusing the same key twice."""


def _mapping(loader: Loader, node: yaml.MappingNode) -> Mapping:
    mapping = Mapping()
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is no text", key_node.start_mark)
        if key in mapping:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} appears twice", key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
        mapping.lines[key] = key_node.start_mark.line + 1
    return mapping


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
