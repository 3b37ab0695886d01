"""Lucene itself, from Debian's liblucene8-java, run by a Java that compiles one file as it starts."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PROGRAM = Path(__file__).parent / "siem_engines" / "LuceneSearch.java"
_JARS = ("core", "queryparser", "analyzers-common")
# The longest term that Lucene takes; Elasticsearch leaves longer ones out of the index.
_LONGEST = 32766


def _jars() -> list[Path]:
    return [path for jar in _JARS for path in sorted(Path("/usr/share/java").glob(f"lucene-{jar}-8*.jar"))[:1]]


def why_not() -> str:
    """Why Lucene cannot run here; "" where it can."""
    if shutil.which("javac") is None:
        return "no Java that compiles: apt-get install default-jdk-headless"
    return "" if len(_jars()) == len(_JARS) else "no Lucene: apt-get install liblucene8-java"


def search(queries: Mapping[str, str], documents: Sequence[Mapping[str, Any]]) -> dict[str, set[int]]:
    """The numbers of the documents that each query finds; every field is a keyword."""
    lines = [
        "\t".join(["D", *(part for key, value in document.items() for part in _field(key, value))]) for document in documents
    ]
    lines += [f"Q\t{name}\t{_encoded(query)}" for name, query in queries.items()]
    command = ["java", "-cp", ":".join(map(str, _jars())), str(_PROGRAM)]
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = (line.split("\t") for line in done.stdout.splitlines())
    return {name: {int(number) for number in numbers.split(",") if number} for name, numbers in found}


def _field(key: str, value: Any) -> tuple[str, ...]:
    text = str(value)
    return (key, _encoded(text)) if len(text.encode()) <= _LONGEST else ()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
