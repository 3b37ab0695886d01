from __future__ import annotations

from pathlib import Path

from tests.changed import related_tests


def test_a_changed_file_leads_to_its_tests_or_to_those_of_its_folder(tmp_path: Path) -> None:
    for path in ("tests/tables/text/test_shell.py", "tests/tables/reasons/test_commands.py", "tests/packs/test_detections.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    changed = ["tables/text/shell.py", "tables/text/lines.py", "packs/cryptominer_triage/01_process_tree.yaml", "README.md"]
    gone = ["tests/tables/text/test_gone.py", "extension/nowhere/new.py", "tests/support/core.py"]
    assert related_tests([*changed, *gone, "tests/tables/reasons/test_commands.py"], tmp_path) == [
        "tests/packs",
        "tests/tables/reasons/test_commands.py",
        "tests/tables/text",
        "tests/tables/text/test_shell.py",
    ]
