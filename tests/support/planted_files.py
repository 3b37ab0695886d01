"""Plants files below the root folder that a test examines as a host."""

from __future__ import annotations

from pathlib import Path


def plant(root: Path, path: str, content: str | bytes = "", mode: int = 0o644) -> Path:
    """Write the file that the host below `root` calls `path`, its folders made; surrogate escapes become their bytes."""
    target = _place(root, path)
    target.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape"))
    target.chmod(mode)
    return target


def link(root: Path, target: str, path: str) -> None:
    """Make `path` of that host a symbolic link to `target`."""
    _place(root, path).symlink_to(target)


def _place(root: Path, path: str) -> Path:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
