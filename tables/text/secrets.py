"""Takes passwords and tokens out of command lines before they leave the host."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tables.text.lines import unquoted

MASK = "***"
# Twice what a column shows (schema.MAX_TEXT), so that the column can still tell that it was cut.
_MAX_TEXT = 64 * 1024
# Names that end in file, path or dir say where a secret lies, and not what it is.
_ENDS = (
    r"(?:passw(?:or)?d|passphrase|(?:(?<![A-Za-z])|require|user|root|admin|master|db)pass(?![A-Za-z])|pwd"
    r"|secret|token|(?:api|access|auth|private)[_-]?key|credential)[A-Za-z0-9_.-]{0,40}(?<!file)(?<!path)(?<!dir)"
)
_NAMES = r"[A-Za-z0-9_.-]{0,40}" + _ENDS
_OPTION = re.compile(rf"[-+]{{1,2}}(?:{_NAMES}|(?:[A-Za-z0-9_.-]{{0,40}}-)?key)", re.IGNORECASE)
# An empty value is no secret, but tells that there is none.
_VALUE = r"(?:\"[^\"]+\"|'[^']+'|[^\s\"';&|]+)"
# Each pattern: what stays, what is replaced, and what stays behind it.
_TEXT_PATTERNS = (
    # scheme://user:password@host, and a token in the user's place.
    (re.compile(r"([a-z][a-z0-9+.-]{1,20}://)[^\s/@\"']{1,512}(@)", re.IGNORECASE), rf"\1{MASK}\2"),
    # --password=x, DB_PASSWORD=x, "api_key": "x", ?token=x; --token x; aws_secret_access_key x
    (re.compile(rf"({_ENDS}[\"']?(?:=|[ \t]*:[ \t]*|[ \t]+=[ \t]*)){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"((?:^|\s)-{{1,2}}{_NAMES}[ \t]+)(?!-){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"(\baws_(?:secret_access_key|session_token)[ \t]+){_VALUE}", re.IGNORECASE), rf"\1{MASK}"),
    # HTTP headers.
    (
        re.compile(r"((?:authorization|x-[a-z-]{0,30}(?:key|token|auth)|cookie)[ \t]*:[ \t]*)[^\"'\n]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"(\b(?:bearer|basic)[ \t]+)[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    # curl -u user:password, --user user:password.
    (re.compile(r"((?:^|\s)(?:-u|--user|--proxy-user|-U)[ \t=]*[\"']?[^\s:\"']{1,100}:)[^\s\"']+"), rf"\1{MASK}"),
    # mysql -pPASSWORD, sshpass -p PASSWORD, redis-cli -a PASSWORD.
    (re.compile(rf"(\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^|;&\n]{{0,200}}?[ \t]-p){_VALUE}"), rf"\1{MASK}"),
    (re.compile(rf"(\bsshpass[ \t]+-p[ \t]*){_VALUE}"), rf"\1{MASK}"),
    (re.compile(rf"(\bredis-cli\b[^|;&\n]{{0,200}}?[ \t](?:-a|--pass)[ \t]+){_VALUE}"), rf"\1{MASK}"),
    # echo PASSWORD | sudo -S, echo user:password | chpasswd, | passwd --stdin.
    (
        re.compile(
            r"(\b(?:echo|printf)[ \t]+)[^|\n]{1,512}(\|[ \t]*(?:sudo[ \t]+)?(?:sudo[ \t]+-S|chpasswd|passwd|docker[ \t]+login))"
        ),
        rf"\1{MASK} \2",
    ),
    # Tokens that are known by their form: AWS, GitHub, GitLab, Slack, Google, JSON web tokens.
    (
        re.compile(
            r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}|glpat-[\w-]{20,64}"
            r"|xox[abprs]-[A-Za-z0-9-]{10,255}|AIza[\w-]{35}|eyJ[\w-]{10,4096}\.[\w-]{10,4096}(?:\.[\w-]{0,4096})?)"
        ),
        MASK,
    ),
)


def mask_secrets(command: str) -> str:
    """`command` with the values of what look like passwords and tokens replaced by `***`.

    That is: the user part of URLs, values of options, variables and headers named like password, token, secret or key,
    curl's -u, mysql's -p, sshpass's -p, redis-cli's -a, what is piped into sudo -S, chpasswd and passwd, and tokens of well-known
    form. Never raises. What no name and no form gives away stays.
    """
    for pattern, replacement in _TEXT_PATTERNS:
        command = pattern.sub(replacement, command)
    return command


def mask_arguments(argv: Sequence[str]) -> str:
    """Like `mask_secrets`, for a process's arguments, which hold blanks without quotes; joined by blanks, 64 KiB at most."""
    words: list[str] = []
    is_secret = False
    for word in argv:
        name, joined, value = word.partition("=")
        is_option = len(name) > 1 and name.startswith(("-", "+"))
        names_secret = _OPTION.fullmatch(name) is not None
        if is_secret and word and not is_option:
            word = MASK
        elif names_secret and joined and unquoted(value):
            word = f"{name}={MASK}"
        is_secret = names_secret and not joined
        words.append(word)
    return mask_secrets(" ".join(words)[:_MAX_TEXT]).strip()
