"""Asks the embedded engine about a host whose files a test has planted."""

from __future__ import annotations

from pathlib import Path

from extension.engines import ResultRow
from extension.engines.embedded import EmbeddedEngine
from tables.host import Host
from tests.support import planted_files


class PlantedHost:
    """A host below the folder `root`; starts with root and one ordinary user."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = Host(str(root))
        self.engine = EmbeddedEngine(self.host)
        self.plant("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000:Alice,,,:/home/alice:/bin/zsh\n")
        self.plant("/etc/group", "root:x:0:\nalice:x:1000:\n")

    def path(self, path: str) -> Path:
        """Where `path` of the planted host is on this machine."""
        return self.root / path.lstrip("/")

    def plant(self, path: str, contents: str | bytes, mode: int = 0o644) -> Path:
        """Write a file of the planted host."""
        return planted_files.plant(self.root, path, contents, mode)

    def query(self, sql: str) -> list[ResultRow]:
        """The rows of `sql`."""
        return self.engine.query(sql)

    def gaps(self, table: str) -> str:
        """What the table's status says it could not see."""
        return "; ".join(self.host.status.get(table).degraded)
