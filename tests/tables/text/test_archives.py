from __future__ import annotations

from typing import Optional

import pytest

from tables.text.archives import Unpacked, repository_folder, unpacked


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("tar xz -C /opt/p", Unpacked(None, "/opt/p")),
        ("tar -xzf - --strip-components=1", Unpacked(None, ".")),
        ("tar xzf a.tgz", Unpacked("a.tgz", ".")),
        ("tar -C /opt -xzfa.tgz", Unpacked("a.tgz", "/opt")),
        ("tar xfC a.tgz /opt", Unpacked("a.tgz", "/opt")),
        ("bsdtar --extract --file=a.zip --directory /opt", Unpacked("a.zip", "/opt")),
        ("tar czf a.tgz /etc", None),
        ("tar tf a.tgz", None),
        ("unzip -oq a.zip -d /opt", Unpacked("a.zip", "/opt")),
        ("7z x a.7z -o/opt -y", Unpacked("a.7z", "/opt")),
        ("7z a a.7z /etc", None),
        ("cpio -idm", Unpacked(None, ".")),
        ("cpio -o", None),
        ("gunzip -f a.gz", Unpacked("a.gz", file="a")),
        ("gunzip", Unpacked(None)),
        ("xz -dc a.xz", Unpacked("a.xz")),
        ("gzip a", None),
        ("cat a", None),
    ],
)
def test_what_is_unpacked(command: str, expected: Optional[Unpacked]) -> None:
    name, *arguments = command.split()
    assert unpacked(name, arguments) == expected


def test_the_folder_of_a_repository() -> None:
    assert [repository_folder(place) for place in ("https://a/b/c.git", "https://a/b/c/", "git@a:b/c.git")] == ["c", "c", "c"]
