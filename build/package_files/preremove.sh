#!/bin/sh
# Take our line, and nothing else, out of what osquery and orbit load, and end what keeps the extension attached.
set -eu

root=${DPKG_ROOT:-}
line=/usr/lib/minehunt/minehunt.ext

remove() {
    if [ -f "$root$1" ] && grep -qxF "$line" "$root$1"; then
        rest=$(mktemp)
        grep -vxF "$line" "$root$1" > "$rest" || true
        # Written back in place: owner, mode and links stay as they are.
        cat "$rest" > "$root$1"
        rm -f "$rest"
        [ -s "$root$1" ] || rm -f "$root$1"
    fi
}

case "${1:-}" in
    # dpkg says remove; rpm the number of versions that are left. An upgrade keeps the line.
    remove | 0)
        if [ -z "$root" ] && command -v systemctl >/dev/null; then
            systemctl disable --now minehunt-attach.service >/dev/null 2>&1 || true
        fi
        remove /etc/osquery/extensions.load
        remove /opt/orbit/extensions.load
        rmdir "$root/etc/osquery" 2>/dev/null || true
        ;;
esac
