"""What an image is by its name: a miner, or an agent that needs the host (container_images.yaml)."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, Optional

from tables.indicators.loader import load_yaml
from tables.indicators.miner_words import miner_words
from tables.indicators.process_names import Names

# Registries allow 255 characters for a name.
_MAX_NAME = 512
_PARTS = re.compile(r"[/_.-]")
_DEFAULT_REGISTRY, _OFFICIAL = "docker.io", "library"


def full_name(image: str) -> str:
    """The name of an image with its registry, without tag and digest, in small letters; "" for none and for a bare id.

    `alpine:3` is docker.io/library/alpine (github.com/distribution/reference, normalize.go).
    """
    plain = image[:_MAX_NAME].partition("@")[0].lower()
    head, colon, tail = plain.rpartition(":")
    if colon and "/" not in tail:
        plain = head or plain
    if not plain or plain == "sha256":
        return ""
    first, slash, rest = plain.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return f"{_DEFAULT_REGISTRY}/{rest}" if first == "index.docker.io" else plain
    return f"{_DEFAULT_REGISTRY}/{plain}" if slash else f"{_DEFAULT_REGISTRY}/{_OFFICIAL}/{plain}"


class ContainerImages:
    """The lists of container_images.yaml, as questions with answers."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._miners = Names.of(data["miners"])
        self._harmless = frozenset(data["harmless_words"])
        self._agents = tuple((entry["name"], Names.of([entry])) for entry in data["agents"])

    def miner(self, image: str) -> Optional[str]:
        """What in the name of an image says that it mines; None when nothing does."""
        name = full_name(image)
        repository = name.partition("/")[2]
        parts = _PARTS.split(repository)
        if not self._harmless.isdisjoint(parts):
            return None
        words = miner_words()
        for part in (*repository.split("/"), *parts):
            # Shorter parts are other words, too.
            if len(part) > 4 and (known := words.miner_name(part)):
                return known
        return repository if self._miners.match(name) else None

    def agent(self, image: str) -> Optional[str]:
        """Which well-known agent the image is, by the name under which its makers publish it; None when it is none."""
        name = _MIRRORED.sub("docker.io/", full_name(image))
        return next((agent for agent, names in self._agents if names.match(name)), None)


# A registry's copy of Docker Hub, below the name that such copies are given as a rule.
_MIRRORED = re.compile(
    r"^(?=[\w-]{1,63}\.)[\w.:-]{3,253}/(?:[\w.-]{1,64}/){0,2}?(?:docker-?hub(?:-(?:remote|proxy|cache))?|docker-(?:remote|proxy)|docker\.io)/"
)


@functools.lru_cache(maxsize=1)
def container_images() -> ContainerImages:
    """The built-in lists, read when first asked for."""
    return ContainerImages(load_yaml("container_images.yaml"))
