"""Programs that are odd only because they have computed for hours: the clock of who looks at them is an hour ahead."""

from __future__ import annotations

import os

from tests.lab.case import case
from tests.lab.cases_hidden_load import go_first
from tests.lab.room import Planted, Room

CLOCK_AHEAD_SECONDS = 3700


@case(6, needs=("cc",), busy_home_program="pid")
def busy_home_program(room: Room) -> Planted:
    """a program in ~/.local/share that has computed for hours."""
    return {"pid": room.start(room.program("/root/.local/share/sysupd/agentd", is_busy=True), before=go_first)}


@busy_home_program.twin
def _(room: Room) -> Planted:
    """a program of a user's own that waits for hours."""
    return {"pid": room.start(room.program("/root/.local/bin/notes-server"))}


@busy_home_program.twin
def _(room: Room) -> Planted:
    """an editor's language server, which indexes for hours."""
    path = "/root/.local/share/nvim/mason/packages/rust-analyzer/rust-analyzer"
    return {"pid": room.start(room.program(path, is_busy=True), before=lambda: os.nice(-10))}


@case(6, needs=("cc",), busy_suspect="pid", odd_place_program="pid")
def busy_in_a_temporary_folder(room: Room) -> Planted:
    """a program in /var/tmp that keeps a core busy."""
    return {"pid": room.start(room.program("/var/tmp/.cache-x/upd", is_busy=True), before=go_first)}


@busy_in_a_temporary_folder.twin
def _(room: Room) -> Planted:
    """a renderer in /opt that keeps a core busy."""
    return {"pid": room.start(room.program("/opt/render/render", is_busy=True), before=lambda: os.nice(-10))}
