from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack

import pytest

from tables.host.network import socket_owners
from tables.host.network.socket_owners import find_owners
from tables.host.processes.procfs import Procfs


@pytest.mark.parametrize("place", [0, 400])
def test_a_socket_is_found_wherever_among_many_descriptors_it_is(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    monkeypatch.setattr(socket_owners, "_MANY_DESCRIPTORS", 20)
    monkeypatch.setattr(socket_owners, "_FIRST_DESCRIPTORS", 100)
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(401)]
        inode = os.fstat(held[place].fileno()).st_ino
        owners = find_owners(Procfs.open(), [os.getpid(), 1], {inode})
        assert owners.by_inode == {inode: [os.getpid()]}


def test_every_process_that_a_fork_left_the_socket_to_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_owners, "_MANY_DESCRIPTORS", 1)
    with socket.socket() as held:
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        try:
            inode = os.fstat(held.fileno()).st_ino
            found = find_owners(Procfs.open(), [os.getpid(), child], {inode}).by_inode
            assert found == {inode: sorted([os.getpid(), child])}
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
