"""How platforms that run code for clients let them in: the Docker API, kubelet, Jupyter, Jenkins."""

from __future__ import annotations

import re
from typing import Optional

from tables.host.services.settings import Entry, is_true, last, option_values, python_entries, switch, yaml_entries
from tables.reasons.services.facts import NO_AUTH, PASSWORD, TLS, UNKNOWN, ServiceFacts, Verdict
from tables.text.lines import unquoted

_URL_PORT = re.compile(r":(\d{1,5})(?:/.*)?$")
_JUPYTER_CLASSES = ("NotebookApp", "ServerApp", "LabApp", "IdentityProvider", "PasswordIdentityProvider", "SingleUserNotebookApp")
_JUPYTER_FOLDERS = ("/etc/jupyter", "/usr/local/etc/jupyter", "/usr/etc/jupyter", "/opt/conda/etc/jupyter")
_JUPYTER_FILES = ("jupyter_notebook_config", "jupyter_server_config", "jupyter_lab_config", "jupyter_config")
_JENKINS_HOMES = ("/var/lib/jenkins", "/var/jenkins_home", "/root/.jenkins")
_USE_SECURITY = re.compile(r"<useSecurity>\s*(\w+)\s*</useSecurity>")
_STRATEGY = re.compile(r"<authorizationStrategy\s+class=\"([\w.$-]{1,200})\"")
_ANONYMOUS_READ = re.compile(r"<denyAnonymousReadAccess>\s*false\s*<")


def docker(facts: ServiceFacts) -> Optional[Verdict]:
    """The Docker API: whether clients must show a certificate (tlsverify). None for dockerd's other listeners."""
    path = next(iter(option_values(facts.argv, "--config-file")), "") or "/etc/docker/daemon.json"
    text = facts.read(path)
    try:
        entries = yaml_entries(text) if text is not None else []
    except ValueError:
        return Verdict(UNKNOWN, (), (f"{path} is no JSON",), path)
    hosts = option_values(facts.argv, "-H", "--host") + [word[2:] for word in facts.argv if word.startswith("-Htcp:")]
    written = [entry for entry in entries if entry.key == "hosts" and _is_of_port(entry.value, facts.port)]
    of_port = [host for host in hosts if _is_of_port(host, facts.port)]
    if not (written or of_port) and facts.port not in (2375, 2376):
        return None
    verify = switch(facts.argv, "--tlsverify")
    entry = last(entries, "tlsverify")
    if verify is None and path in facts.unreadable:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    if verify or (verify is None and entry is not None and is_true(entry.value)):
        line = entry.line if entry and not verify else None
        return Verdict(TLS, (), ("clients show a certificate (tlsverify)",), path if line else None, line)
    fact = f"listens on {of_port[0] if of_port else written[0].value}" if of_port or written else "listens on the API port"
    line = written[0].line if written and not of_port else None
    return Verdict(NO_AUTH, ("no_auth", "tls_missing"), (fact, "tlsverify is not set"), path if line else None, line)


def _is_of_port(host: str, port: int) -> bool:
    found = _URL_PORT.search(host)
    return host.startswith("tcp://") and (int(found[1]) == port if found else port in (2375, 2376))


def kubelet(facts: ServiceFacts) -> Verdict:
    """The kubelet's API: anonymous requests, what they may do, and the read-only port, which knows no clients at all."""
    if facts.port == 10255:
        return Verdict(NO_AUTH, ("no_auth", "read_only_port"), ("the read-only port asks nobody who they are",))
    path = next(iter(option_values(facts.argv, "--config")), "")
    text = facts.read(path) if path else None
    if path and text is None:
        return Verdict(UNKNOWN, (), (f"{path} could not be read",))
    try:
        entries = yaml_entries(text) if text is not None else []
    except ValueError:
        return Verdict(UNKNOWN, (), (f"{path} is no YAML",), path)
    # The defaults of the configuration file are stricter than those of the options (kubelet(8)).
    anonymous_entry = last(entries, "authentication.anonymous.enabled")
    anonymous = switch(facts.argv, "--anonymous-auth")
    if anonymous is None:
        anonymous = is_true(anonymous_entry.value) if anonymous_entry else not path
    mode_entry = last(entries, "authorization.mode")
    mode = next(iter(option_values(facts.argv, "--authorization-mode")), "")
    mode = mode or (mode_entry.value if mode_entry else "Webhook" if path else "AlwaysAllow")
    if not anonymous:
        return Verdict(TLS, (), ("anonymous requests are refused",), path or None, _line(anonymous_entry))
    where = path if anonymous_entry else None
    if mode == "AlwaysAllow":
        facts_found = ("anonymous requests are accepted", "authorization mode AlwaysAllow")
        return Verdict(NO_AUTH, ("no_auth", "anonymous_auth", "always_allow"), facts_found, where, _line(anonymous_entry))
    return Verdict(TLS, ("anonymous_auth",), (f"anonymous requests are judged by {mode}",), where, _line(anonymous_entry))


def _line(entry: Optional[Entry]) -> Optional[int]:
    return entry.line if entry else None


def jupyter(facts: ServiceFacts) -> Verdict:
    """Jupyter: an empty token and no password let everybody run code; without either setting a random token is made."""
    values: dict[str, tuple[str, Optional[str], Optional[int]]] = {}
    for path in _jupyter_files(facts):
        for entry in _jupyter_entries(facts, path):
            values[entry.key.rpartition(".")[2]] = entry.value, path, entry.line
    for word in facts.argv:
        name, joined, value = word.lstrip("-").partition("=")
        owner, dot, trait = name.rpartition(".")
        if joined and dot and owner in _JUPYTER_CLASSES:
            values[trait] = unquoted(value), None, None
    if "JUPYTER_TOKEN" in facts.environment and "token" not in values:
        values["token"] = facts.environment["JUPYTER_TOKEN"], None, None
    token, path_of_token, line = values.get("token", ("generated", None, None))
    password = next((values[name][0] for name in ("hashed_password", "password") if name in values), "")
    extra = ("runs_as_root",) if facts.process.uid == 0 else ()
    if token == "" and not password:
        reasons = ("no_auth", "token_disabled", *extra)
        return Verdict(NO_AUTH, reasons, ("the token is empty and no password is set",), path_of_token, line)
    if "environ" in " ".join(facts.unreadable):
        return Verdict(UNKNOWN, extra, ("its environment could not be read",))
    return Verdict(PASSWORD, extra, ("a password is set" if password else "a token is asked for",), path_of_token, line)


def _jupyter_files(facts: ServiceFacts) -> list[str]:
    home = facts.environment.get("JUPYTER_CONFIG_DIR") or facts.environment.get("HOME", "/root") + "/.jupyter"
    folders = [*reversed(_JUPYTER_FOLDERS), home]
    paths = [f"{folder}/{name}.{ending}" for folder in folders for name in _JUPYTER_FILES for ending in ("py", "json")]
    given = option_values(facts.argv, "--config")
    return [path for path in paths if path.startswith("/")] + [path for path in given if path]


def _jupyter_entries(facts: ServiceFacts, path: str) -> list[Entry]:
    text = facts.read(path)
    if text is None:
        return []
    try:
        entries = python_entries(text) if path.endswith(".py") else yaml_entries(text)
    except ValueError:
        return []
    return [entry for entry in entries if entry.key.partition(".")[0] in _JUPYTER_CLASSES]


def jenkins(facts: ServiceFacts) -> Verdict:
    """Jenkins: whether config.xml switches security off or allows everybody everything."""
    given = [word.partition("=")[2] for word in facts.argv if word.startswith("-DJENKINS_HOME=")]
    homes = [*given, facts.environment.get("JENKINS_HOME", ""), *_JENKINS_HOMES]
    found = facts.first(*(f"{home.rstrip('/')}/config.xml" for home in homes if home.startswith("/")))
    if found is None:
        return Verdict(UNKNOWN, (), ("its config.xml could not be read",))
    path, text = found
    security, strategy = _USE_SECURITY.search(text), _STRATEGY.search(text)
    if security and security[1] == "false":
        return Verdict(NO_AUTH, ("no_auth",), ("useSecurity is false",), path, _line_of(text, security))
    if strategy and strategy[1].endswith("Unsecured"):
        return Verdict(NO_AUTH, ("no_auth",), ("everybody may do everything",), path, _line_of(text, strategy))
    anonymous = _ANONYMOUS_READ.search(text)
    reasons = ("anonymous_read",) if anonymous else ()
    return Verdict(PASSWORD, reasons, ("security is on",), path, _line_of(text, anonymous or security))


def _line_of(text: str, found: Optional[re.Match[str]]) -> Optional[int]:
    return text.count("\n", 0, found.start()) + 1 if found else None
