"""The pack's file-based queries below the root folders of running containers, and what is found by container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from extension.command_line import CannotRunError, open_embedded
from extension.pack.model import Pack
from extension.triage import Triage, run_triage
from tables.host import Host
from tables.host.containers.model import Container
from tables.host.containers.reader import Containers
from tables.schema import QueryContext, clean_text

ALL = "all"
# Fewer digits of an id name another container too easily.
_LEAST_DIGITS = 4


class ContainerTriage(NamedTuple):
    """A container with what was found below its root folder."""

    container: Container
    triage: Triage

    @property
    def title(self) -> str:
        """The container in words: its name, the beginning of its id, its image and pod."""
        found = self.container
        parts = [
            found.name,
            found.container_id[:12],
            f"of {found.image}" if found.image else "",
            f"in pod {found.pod}" if found.pod else "",
        ]
        return clean_text(" ".join(filter(None, parts)))


def chosen(host: Host, wanted: str) -> list[Container]:
    """The running containers that `wanted` names: an id or its beginning, a name, `all`; CannotRunError when there is none."""
    query = QueryContext()
    running = [container for container in Containers(host, query).all() if container.pid is not None]
    if wanted == ALL:
        found = running
    else:
        found = [
            container
            for container in running
            if wanted == container.name or (len(wanted) >= _LEAST_DIGITS and container.container_id.startswith(wanted))
        ]
    if found:
        return found
    known = ", ".join(sorted(filter(None, (container.name or container.container_id[:12] for container in running)))[:50])
    missing = f"; {'; '.join(query.blind)}" if query.blind else ""
    what = "no container runs here" if wanted == ALL else f"no running container {wanted!r}"
    raise CannotRunError(f"{what}{f'; there are: {known}' if known else ''}{missing}")


def triage_containers(pack: Pack, host: Host, containers: list[Container], steps: tuple[int, ...]) -> Iterator[ContainerTriage]:
    """Run the pack below the root folder of each; one whose root cannot be looked into is CannotRunError."""
    for container in containers:
        root = container.root_folder
        # A root that is not mounted where we look is an empty folder, or the host's own.
        if not root or not os.path.isdir(root) or os.path.realpath(root) == "/" or not os.listdir(root):
            raise CannotRunError(
                f"the root folder of {container.name or container.container_id[:12]} is not seen here: {root or 'unknown'}"
            )
        with closing(open_embedded(Host(root, host.settings))) as engine:
            found = run_triage(pack, engine, steps)
        facts = {**found.host, "hostname": container.name or container.container_id[:12]}
        yield ContainerTriage(container, replace(found, host=facts))
