"""The archive itself: a tar of evidence whose names are safe to unpack, and whose last member is the manifest of all others."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from extension.collect.reading import Item

MANIFEST = "manifest.json"
_SAFE = re.compile(r"[A-Za-z0-9._@+=,-]")
_OURS = re.compile(r"[A-Za-z0-9._@+=,%-]+")
_COMPONENT = 200
# A manifest is some hundred bytes an item.
_MAX_MANIFEST = 64 * 1024 * 1024


class ArchiveError(Exception):
    """The archive cannot be written or is not what it says; the message says why."""


def safe_name(path: str) -> str:
    """A relative name that unpacks below its folder on any system: other characters become %XX, `..` and blanks too."""
    parts = [_component(part) for part in path.split("/") if part]
    return "/".join(parts) or "%"


def _component(part: str) -> str:
    raw = os.fsencode(part)
    text = "".join(chr(byte) if _SAFE.fullmatch(chr(byte)) else f"%{byte:02X}" for byte in raw)
    if text.strip(".") == "":
        text = text.replace(".", "%2E")
    return text if len(text) <= _COMPONENT else f"{text[:_COMPONENT]}%{hashlib.sha256(raw).hexdigest()[:16]}"


class Archive:
    """An archive being written; it is there whole once `finish` has been called, and not at all before."""

    def __init__(self, path: Path, max_size: int) -> None:
        self.path = path
        self.items: list[dict[str, Any]] = []
        self.incomplete: list[str] = []
        self._left = max_size
        self._names: set[str] = set()
        if os.path.lexists(path):
            raise ArchiveError(f"{path}: is there already")
        try:
            handle, self._temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        except OSError as error:
            raise ArchiveError(f"{path}: {error.strerror}") from None
        self._file = os.fdopen(handle, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=6)  # noqa: SIM115

    def add(self, name: str, item: Item) -> None:
        """Put an item in under a name of its own, as far as there is room; it is in the manifest either way."""
        record: dict[str, Any] = {"source": item.source, **item.facts}
        if item.data is not None and len(item.data) > self._left:
            record["why_not"] = "no room left: --max-size"
            self.incomplete.append(f"{item.source}: no room left (--max-size)")
        elif item.data is not None:
            self._left -= len(item.data)
            record["name"] = self._own_name(safe_name(name))
            record["sha256"] = hashlib.sha256(item.data).hexdigest()
            record["stored"] = len(item.data)
            self._write(record["name"], item.data)
            if "cut_at" in record:
                self.incomplete.append(f"{item.source}: only its first {record['cut_at']} bytes (--max-item)")
        self.items.append(record)

    def finish(self, about: dict[str, Any]) -> str:
        """Write the manifest and put the archive in its place; its SHA-256."""
        manifest = {**about, "complete": not self.incomplete, "incomplete": self.incomplete, "items": self.items}
        text = json.dumps(manifest, indent=2, ensure_ascii=False, default=str) + "\n"
        self._write(MANIFEST, text.encode("utf-8", "backslashreplace"))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        with open(self._temporary, "rb") as file:  # noqa: PTH123  # a temporary name of our own
            digest = _sha256(file)
        try:
            # Never in place of what came there meanwhile.
            os.link(self._temporary, self.path)
        except OSError as error:
            raise ArchiveError(f"{self.path}: {error.strerror}") from None
        finally:
            os.unlink(self._temporary)
        return digest

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        if os.path.exists(self._temporary):
            os.unlink(self._temporary)

    def _own_name(self, name: str) -> str:
        own, number = name, 1
        while own in self._names or own == MANIFEST:
            number += 1
            own = f"{name}.{number}"
        self._names.add(own)
        return own

    def _write(self, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = len(data), 0o400, int(time.time())
        try:
            self._tar.addfile(entry, io.BytesIO(data))
        except OSError as error:
            raise ArchiveError(f"{self.path}: {error.strerror}") from None


def verify(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The manifest of an archive, and what is wrong with it: members that are missing, changed, added or of unsafe names.

    ArchiveError where it can be read by nobody.
    """
    problems: list[str] = []
    found: dict[str, str] = {}
    manifest: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                problems += _unsafe(member)
                file = tar.extractfile(member) if member.isreg() else None
                if file is None:
                    continue
                if member.name == MANIFEST:
                    manifest = json.loads(file.read(_MAX_MANIFEST))
                    continue
                found[member.name] = _sha256(file)
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise ArchiveError(f"{path}: cannot be read as an archive: {error}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("items"), list):
        raise ArchiveError(f"{path}: has no {MANIFEST}, so it is none of minehunt's or was cut off")
    listed = {
        str(item["name"]): str(item.get("sha256")) for item in manifest["items"] if isinstance(item, dict) and "name" in item
    }
    problems += [f"{name}: is missing" for name in listed if name not in found]
    problems += [f"{name}: was changed" for name, digest in found.items() if name in listed and listed[name] != digest]
    problems += [f"{name}: is not in the manifest" for name in found if name not in listed]
    return manifest, problems


def _unsafe(member: tarfile.TarInfo) -> Iterator[str]:
    parts = member.name.split("/")
    if not member.isreg():
        yield f"{member.name}: neither a file nor anything that minehunt writes"
    elif member.name.startswith("/") or ".." in parts or not all(map(_OURS.fullmatch, parts)):
        yield f"{member.name}: not safe to unpack"


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()
