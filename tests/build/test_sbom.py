"""The lists of contents name what the lock files lock, with the hashes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from build import sbom

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sbom")
    sbom.build(folder)
    return folder


@pytest.mark.parametrize("name", sbom.LISTS)
def test_every_locked_package_is_in_its_list_with_version_and_hashes(name: str, built: Path) -> None:
    document = json.loads((built / f"{name}.cdx.json").read_text())
    assert document["bomFormat"] == "CycloneDX" and document["metadata"]["component"]["name"] == "minehunt"
    found = {(part["name"], part["version"]): part["externalReferences"] for part in document["components"]}
    locked = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "build" / sbom.LISTS[name]).read_text(), re.MULTILINE)
    assert locked and found.keys() == set(locked)
    assert all(any("hashes" in reference for reference in references) for references in found.values())


def test_the_same_commit_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    sbom.build(tmp_path)
    for path in built.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
