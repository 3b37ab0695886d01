"""How web applications and inference servers let clients in: Next.js, n8n, Langflow, ComfyUI, Grafana, phpMyAdmin."""

from __future__ import annotations

import posixpath
import re
from typing import Optional

from tables.host.services.settings import is_true, option_values
from tables.reasons.services.facts import NO_AUTH, PASSWORD, UNKNOWN, ServiceFacts, Verdict
from tables.text.lenient_json import parse_json

Version = tuple[int, int, int]
_VERSION = re.compile(r"v?(\d{1,5})\.(\d{1,5})\.(\d{1,5})")
_TITLE = re.compile(r"next-server \(v(\d{1,5}\.\d{1,5}\.\d{1,5})")
# CVE-2025-55182 (React2Shell), Next.js CVE-2025-66478: the first mended version of each line that has the fault.
_MENDED_NEXT = {
    (15, 0): 5, (15, 1): 9, (15, 2): 6, (15, 3): 6, (15, 4): 8, (15, 5): 7, (16, 0): 7,
}  # fmt: skip
_PMA_FOLDERS = (
    "/usr/share/phpmyadmin", "/usr/share/phpMyAdmin", "/var/www/html/phpmyadmin", "/var/www/html/phpMyAdmin", "/var/www/html/pma",
    "/var/www/phpmyadmin",
)  # fmt: skip
_PMA_KIND = re.compile(r"[ \t]*\$cfg\['Servers'\]\[[^\]]{1,16}\]\['auth_type'\][ \t]*=[ \t]*['\"](\w{1,32})")
_INI_SECTION = re.compile(r"^\[([\w.-]{1,64})\]", re.MULTILINE)
_INI_SETTING = re.compile(r"^[ \t]*(\w{1,64})[ \t]*=[ \t]*([^\n;#]{0,200})", re.MULTILINE)


def parse_version(text: str) -> Optional[Version]:
    """The three numbers that a version begins with; None for anything else."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _package_version(facts: ServiceFacts, name: str) -> tuple[Optional[Version], Optional[str]]:
    """The version of an npm package beside the program, from its own package.json, and that file's path."""
    folder = facts.cwd
    given = next((word for word in facts.argv[1:3] if "/node_modules/" in word), "")
    if given:
        folder = posixpath.normpath(posixpath.join(folder, given.partition("/node_modules/")[0]))
    for place in (folder, posixpath.dirname(folder), posixpath.join(folder, ".next/standalone")):
        path = posixpath.join(place, f"node_modules/{name}/package.json")
        text = facts.read(path)
        if text is not None:
            try:
                document = parse_json(text)
            except ValueError:
                continue
            version = document.get("version") if isinstance(document, dict) else None
            return parse_version(version) if isinstance(version, str) else None, path
    return None, None


def nextjs(facts: ServiceFacts) -> Verdict:
    """Next.js: whether its version is one that runs whatever code it is sent (React2Shell)."""
    version, path = _package_version(facts, "next")
    title = _TITLE.search(facts.cmdline[:4096])
    if version is None and title:
        version = parse_version(title[1])
    if version is None:
        return Verdict(UNKNOWN, (), ("its version was not found",))
    said = ".".join(map(str, version))
    mended = _MENDED_NEXT.get(version[:2])
    if mended is not None and version[2] < mended:
        fact = f"version {said}, before {version[0]}.{version[1]}.{mended}: CVE-2025-55182 runs code for everybody"
        return Verdict(UNKNOWN, ("vulnerable_version",), (fact,), path)
    return Verdict(UNKNOWN, (), (f"version {said}; who is let in is the application's own matter",), path)


def n8n(facts: ServiceFacts) -> Verdict:
    """n8n: whether its users were switched off."""
    if is_true(facts.environment.get("N8N_USER_MANAGEMENT_DISABLED", "")):
        return Verdict(NO_AUTH, ("no_auth",), ("N8N_USER_MANAGEMENT_DISABLED is set",))
    return Verdict(PASSWORD, (), ("users log in",))


def langflow(facts: ServiceFacts) -> Verdict:
    """Langflow: LANGFLOW_AUTO_LOGIN, on by default, makes everybody its administrator."""
    option = next(iter(option_values(facts.argv, "--auto-login")), "")
    given = option or facts.environment.get("LANGFLOW_AUTO_LOGIN", "")
    if "--no-auto-login" in facts.argv or given.strip().lower() in ("false", "0", "no", "off"):
        return Verdict(PASSWORD, (), ("LANGFLOW_AUTO_LOGIN is off",))
    return Verdict(NO_AUTH, ("no_auth",), ("LANGFLOW_AUTO_LOGIN is on, as by default",))


def comfyui(facts: ServiceFacts) -> Optional[Verdict]:
    """ComfyUI, which knows no users, and whose nodes run code. None for another program's main.py."""
    script = next((word for word in facts.argv[1:] if word.endswith("main.py")), "main.py")
    folder = posixpath.dirname(posixpath.join(facts.cwd, script))
    if not facts.exists(posixpath.join(folder, "comfy/cli_args.py")):
        return None
    return Verdict(NO_AUTH, ("no_auth",), ("it asks nobody for a password",))


def phpmyadmin(facts: ServiceFacts) -> Optional[Verdict]:
    """PhpMyAdmin behind a web server: whether it logs in by itself. None where the web server has none."""
    folder = next(
        (place for place in _PMA_FOLDERS if facts.exists(f"{place}/libraries") or facts.exists(f"{place}/themes")), None
    )
    if folder is None:
        return None
    found = facts.first(f"{folder}/config.inc.php", "/etc/phpmyadmin/config.inc.php", "/etc/phpMyAdmin/config.inc.php")
    lines = [(number, line) for number, line in enumerate(found[1].split("\n"), 1)] if found else []
    kind = next((number for number, line in lines if (match := _PMA_KIND.match(line)) and match[1] == "config"), None)
    if kind is not None or facts.environment.get("PMA_USER"):
        path = found[0] if found and kind is not None else None
        return Verdict(NO_AUTH, ("no_auth",), ("phpMyAdmin logs in by itself (auth_type config)",), path, kind)
    if facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{facts.unreadable[0]} could not be read",))
    return Verdict(PASSWORD, (), ("phpMyAdmin asks for a login of the database",), found[0] if found else None)


def grafana(facts: ServiceFacts) -> Verdict:
    """Grafana: visitors without an account who may do what an administrator may."""
    path = next(iter(option_values(facts.argv, "--config", "-config")), "") or "/etc/grafana/grafana.ini"
    text = facts.read(path)
    if path in facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    section = _section(text or "", "auth.anonymous")
    enabled = facts.environment.get("GF_AUTH_ANONYMOUS_ENABLED") or section.get("enabled", "")
    role = facts.environment.get("GF_AUTH_ANONYMOUS_ORG_ROLE") or section.get("org_role", "Viewer")
    if is_true(enabled) and role.strip() == "Admin":
        return Verdict(NO_AUTH, ("no_auth",), ("visitors are administrators (auth.anonymous)",), path)
    if is_true(enabled):
        return Verdict(PASSWORD, ("anonymous_read",), (f"visitors are {role.strip()}",), path)
    return Verdict(PASSWORD, (), ("users log in",))


def _section(text: str, name: str) -> dict[str, str]:
    """The settings of one section of an INI file."""
    starts = [*_INI_SECTION.finditer(text)]
    for index, start in enumerate(starts):
        if start[1] == name:
            end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
            return {key: value.strip() for key, value in _INI_SETTING.findall(text[start.end() : end])}
    return {}
