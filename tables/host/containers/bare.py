"""Containers that runc and crun were told to start by themselves: their state below /run (runc: libcontainer; crun: status.c)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Optional

from tables.host.containers.model import RUNNING, Container
from tables.host.containers.oci import read_spec
from tables.host.containers.state_files import mapping, number, read_state, text, texts, unix_seconds
from tables.host.containers.stores import Store

# Folder, file in each container's folder there, and who writes it. What containerd and Podman start is elsewhere or has theirs.
_PLACES = (("/run/runc", "state.json", "runc"), ("/run/crun", "status", "crun"), ("/run/youki", "state.json", "youki"))


class Bare:
    """All of them."""

    username = ""
    path = "/run"

    def __init__(self, store: Store) -> None:
        self.store = store

    def all(self) -> Iterator[Container]:
        """All of them; those of a manager too, which has more to say."""
        for place in _PLACES:
            yield from self.store.each(self.store.names(place[0]), partial(self._container, place))

    def find(self, container_id: str) -> Optional[Container]:
        """The one of this id; None when there is none."""
        found = (self._container(place, container_id) for place in _PLACES)
        return next((container for container in found if container), None)

    def _container(self, place: tuple[str, str, str], name: str) -> Optional[Container]:
        folder, file, runtime = place
        path = f"{folder}/{name}/{file}"
        return self.store.kept((path,), lambda: self._read(name, path, runtime))

    def _read(self, name: str, path: str, runtime: str) -> Optional[Container]:
        state = read_state(self.store.files, path, self.store.unseen)
        if not isinstance(state, dict):
            return None
        bundle = bundle_of(state)
        spec = mapping(read_state(self.store.files, f"{bundle}/config.json", self.store.unseen)) if bundle else {}
        facts = read_spec(spec, bundle)
        pid = number(state.get("init_process_pid")) or number(state.get("pid"))
        return Container(
            runtime=runtime,
            path=path,
            container_id=name,
            name=name,
            created=unix_seconds(state.get("created")),
            state=RUNNING,
            pid=pid,
            **{**facts._asdict(), "root_folder": facts.root_folder or text(mapping(state.get("config")).get("rootfs"))},
        )


def bundle_of(state: Mapping[str, Any]) -> str:
    """The folder with the specification: crun says it, runc among the labels of its configuration; "" when neither does."""
    labels = texts(mapping(state.get("config")).get("labels"))
    named = text(state.get("bundle")) or next((each[len("bundle=") :] for each in labels if each.startswith("bundle=")), "")
    return named if named.startswith("/") else ""
