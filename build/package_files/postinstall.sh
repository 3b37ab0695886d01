#!/bin/sh
# Let osquery and Fleet's orbit load the extension from their next start on; neither is restarted here. Orbit may rewrite its
# list: minehunt-attach.service, which is not enabled by itself, is for that.
set -eu

root=${DPKG_ROOT:-}
line=/usr/lib/minehunt/minehunt.ext

add() {
    [ -d "$root$(dirname "$1")" ] || return 0
    if [ -e "$root$1" ] && grep -qxF "$line" "$root$1"; then
        return 0
    fi
    # A file whose last line has no end would swallow ours.
    if [ -s "$root$1" ] && [ -n "$(tail -c 1 "$root$1")" ]; then
        echo >> "$root$1"
    fi
    echo "$line" >> "$root$1"
}

case "${1:-}" in
    # dpkg says configure; rpm the number of versions that are then installed.
    configure | [1-9]*)
        mkdir -p "$root/etc/osquery"
        add /etc/osquery/extensions.load
        add /opt/orbit/extensions.load
        # An upgrade goes on with the new file; nothing is enabled or started here that was not.
        if [ -z "$root" ] && command -v systemctl >/dev/null; then
            systemctl try-restart minehunt-attach.service >/dev/null 2>&1 || true
        fi
        ;;
esac
