"""The folders that web servers hand out: the usual ones, and those that their configuration names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator

from tables.host.disk.files import Files, Unreadable

# Packages of web servers on Debian, EL, SUSE and Arch; Tomcat's and XAMPP's own archives.
_FOLDERS = (
    "/var/www", "/srv/www", "/srv/http", "/usr/share/nginx/html", "/usr/local/apache2/htdocs", "/usr/local/nginx/html",
    "/opt/lampp/htdocs", "/usr/local/tomcat/webapps", "/home/wwwroot", "/www/wwwroot", "/data/wwwroot",
)  # fmt: skip
# Parts of paths in which names with a version of Tomcat stand.
_TOMCAT_PLACES = ("/var/lib", "/opt", "/usr/local", "/usr/share", "/srv")
_HOME_FOLDERS = ("public_html", "htdocs", "www", "httpdocs")
_CONFIGURATION = (
    "/etc/nginx", "/etc/nginx/conf.d", "/etc/nginx/sites-enabled", "/etc/apache2/sites-enabled", "/etc/apache2/vhosts.d",
    "/etc/httpd/conf", "/etc/httpd/conf.d", "/etc/httpd/sites-enabled",
)  # fmt: skip
_MAX_FILES = 1000
_FILE_LIMIT = 256 * 1024
_ROOT = re.compile(r"(?m)^[ \t]*(?:root|DocumentRoot|alias)[ \t]+[\"']?(/[^\s;\"'$]{1,512})")
# Whole systems are no web sites.
_TOO_WIDE = frozenset({"/usr/lib", "/usr/share", "/var/lib", "/usr/local", "/var/log", "/var/cache"})


def parse_document_roots(text: str) -> Iterator[str]:
    """Yield the folders that a configuration of nginx or Apache hands out (root, DocumentRoot)."""
    for match in _ROOT.finditer(text):
        folder = match[1].rstrip("/")
        if folder.count("/") > 1 and folder not in _TOO_WIDE:
            yield folder


def web_folders(files: Files, homes: Iterable[str]) -> list[str]:
    """The folders that web servers hand out, none inside another; not all of them exist."""
    found = [*_FOLDERS, *(f"{home}/{name}" for home in homes for name in _HOME_FOLDERS)]
    for place in _TOMCAT_PLACES:
        found += [f"{place}/{name}/webapps" for name in _names(files, place) if "tomcat" in name.lower()]
    paths = [f"{folder}/{name}" for folder in _CONFIGURATION for name in _names(files, folder)]
    for path in paths[:_MAX_FILES]:
        with contextlib.suppress(Unreadable):
            found += parse_document_roots(files.read_text(path, _FILE_LIMIT))
    kept: list[str] = []
    for folder in sorted(set(found)):
        if not kept or not folder.startswith(f"{kept[-1]}/"):
            kept.append(folder)
    return kept


def _names(files: Files, folder: str) -> list[str]:
    try:
        return files.names(folder)
    except Unreadable:
        return []
