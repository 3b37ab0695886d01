"""minehunt-attach keeps the extension at whichever osquery's socket is there, whatever happens to either."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from build import extension
from build.packages import FILES
from tests.support.osquery_wire import Wire, children, wait_until, wire_in_folder

# What is built is downloaded first: the others have no network.
pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extension.build(tmp_path_factory.mktemp("attach"))


def uuid(wire: Wire) -> int | None:
    wire.core.ping_extensions()
    return wire.core.uuid_of("minehunt")


def test_it_attaches_when_osquery_comes_again_after_either_ended_and_leaves_nothing(built: Path) -> None:
    with wire_in_folder() as wire:
        wire.core.stop()
        environment = {**os.environ, "MINEHUNT_EXTENSION": str(built), "MINEHUNT_PAUSE": "0.2"}
        command = ["setsid", str(FILES / "minehunt-attach"), str(wire.folder / "none.em"), wire.socket]
        keeper = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            wire.core.start()
            wait_until(lambda: uuid(wire), "the extension registers")
            (attached,) = children(keeper.pid)
            assert wire.query("SELECT table_name FROM minehunt_status LIMIT 1")
            os.kill(attached, 9)
            wait_until(lambda: uuid(wire) is None, "core notices that the extension is gone")
            first = wait_until(lambda: uuid(wire), "the extension registers again")
            (attached,) = children(keeper.pid)
            wire.core.stop()
            wait_until(lambda: not Path(f"/proc/{attached}").exists(), "the extension ends with osquery")
            wire.core.start()
            wait_until(lambda: (uuid(wire) or first) != first, "the extension registers with the next osquery")
        finally:
            os.killpg(keeper.pid, 15)
            keeper.wait()
        wait_until(lambda: uuid(wire) is None, "core notices that the extension was ended")
