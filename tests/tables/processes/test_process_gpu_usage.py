from __future__ import annotations

from pathlib import Path

import pytest

from tables.errors import TableError
from tables.host import Host
from tables.host.gpu.holders import find_devices
from tables.processes.process_gpu_usage import process_gpu_usage
from tables.schema import QueryContext


def test_a_host_without_gpus_has_no_row_and_no_gap() -> None:
    host, query = Host(), QueryContext()
    if any(find_devices(host.files)):
        pytest.skip("this machine has a GPU")
    assert list(process_gpu_usage.generate(host, query)) == []
    assert all("not root" in why for why in query.said)


def test_a_mounted_disk_has_no_processes(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="running system"):
        list(process_gpu_usage.generate(Host(str(tmp_path)), QueryContext()))
