"""YAML whose mappings know the lines of their keys, so that what is wrong can be told by line."""

from __future__ import annotations

from typing import Any, Union

import yaml

from tables.text.bounded_yaml import MAX_DEPTH, TOO_DEEP, BoundedLoader


class Mapping(dict[str, Any]):
    """A YAML mapping that knows the lines of its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


def _base() -> Any:
    """PyYAML's loader, where it can be with libyaml's parser, which is five times as fast; its depth is bounded either way."""
    if not yaml.__with_libyaml__:
        return BoundedLoader
    parser: Any = yaml.cyaml.CParser  # type: ignore[attr-defined]  # unknown to the stubs

    class WithLibyaml(
        yaml.composer.Composer,
        parser,  # type: ignore[misc]  # known when it runs
        yaml.constructor.SafeConstructor,
        yaml.resolver.Resolver,
    ):
        depth = 0

        def __init__(self, stream: Union[str, bytes]) -> None:
            parser.__init__(self, stream)
            yaml.composer.Composer.__init__(self)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise yaml.composer.ComposerError(None, None, TOO_DEEP, self.peek_event().start_mark)
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    return WithLibyaml


class Loader(_base()):  # type: ignore[misc]  # which base depends on how PyYAML was built
    """The loader of packs, with line numbers, and refusing the same key twice."""


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
