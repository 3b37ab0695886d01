"""Systems and desktops that cannot be built here, re-created from what is documented of their files: no detection has a row."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.stock.__main__ import detections
from tests.support.planted_files import link, plant

TREES = sorted((Path(__file__).parent / "trees").glob("*.yaml"))
_ELF = b"\x7fELF\x02\x01\x01" + bytes(57)
_SCRIPT = "#!"


def build(root: Path, tree: Path) -> None:
    """Plant the tree: `programs` and `files` belong to a package, `own_programs` and `own` to nobody."""
    data = yaml.safe_load(tree.read_text())
    accounts = "".join(
        f"{name}:x:{1000 + at}:{1000 + at}::/home/{name}:/bin/bash\n" for at, name in enumerate(data.get("accounts", []))
    )
    plant(root, "/etc/passwd", f"root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/usr/sbin/nologin\n{accounts}")
    packaged = ["/etc/passwd", *data["programs"], *data["files"]]
    plant(root, "/var/lib/dpkg/info/base.list", "".join(f"{path}\n" for path in ("/.", *packaged)))
    for path in (*data["programs"], *data.get("own_programs", [])):
        plant(root, path, _ELF, 0o755)
    for path, text in {**data["files"], **data.get("own", {})}.items():
        if isinstance(text, dict):
            link(root, text["link"], path)
        else:
            plant(root, path, text, 0o755 if text.startswith(_SCRIPT) else 0o644)


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.stem)
def test_a_system_as_it_comes_is_silent(tmp_path: Path, tree: Path) -> None:
    build(tmp_path, tree)
    assert detections(tmp_path) == []
