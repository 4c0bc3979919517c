#!/usr/bin/env bash
# Tries the unit of README.md under a real systemd, in a container of its own: start, frames, reload, a crash, a hang,
# a folder that is missing, stop. Not part of the everyday run. As root, after `cargo build --release`:
#
#   sudo bash tests/systemd.sh [PROGRAM]
#
# Needs debootstrap and systemd-container (fetched by apt-get where they are missing), 300 MB in $TMPDIR, the network.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "${1:-target/release/livestack}")
[ -x "$program" ] || { echo "no such program: build it, or name another: $program" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "needs root: sudo bash tests/systemd.sh" >&2; exit 1; }
command -v debootstrap >/dev/null && command -v systemd-nspawn >/dev/null ||
    { apt-get update -qq && apt-get install -y -qq debootstrap systemd-container; }

work=$(mktemp -d)
root=$work/root
nspawn=
finish() {
    # The container's systemd ends everything in it at SIGRTMIN+4: power off.
    [ -z "$nspawn" ] || { kill -s RTMIN+4 "$(pgrep -P "$nspawn")" && wait "$nspawn"; } || true
    rm -rf "$work"
}
trap finish EXIT

suite=$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "$VERSION_CODENAME" || echo bookworm)
echo "making a small Debian $suite"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,procps "$suite" "$root" >"$work/log" 2>&1 ||
    { tail "$work/log" >&2; exit 1; }

# The unit as the README has it. Only the watchdog is quicker.
sed -n '/^```ini$/,/^```$/p' README.md | sed '1d;$d' >"$root/etc/systemd/system/livestack.service"
mkdir -p "$root/etc/systemd/system/livestack.service.d"
printf '[Service]\nWatchdogSec=10\n' >"$root/etc/systemd/system/livestack.service.d/quick.conf"
install -m 755 "$program" "$root/usr/local/bin/livestack"
chroot "$root" useradd -m pi
night=$root/home/pi/night
mkdir -p "$night/input"
chroot "$root" chown -R pi:pi /home/pi/night
chroot "$root" systemd-analyze verify /etc/systemd/system/livestack.service
echo "ok: systemd-analyze verify"

systemd-nspawn -q -D "$root" --boot --register=no --keep-unit --console=pipe </dev/null >"$work/console" 2>&1 &
nspawn=$!
inside() {
    nsenter -t "$(pgrep -P "$nspawn")" -m -u -i -n -p -C -r -w -- "$@"
}
# Waits until a command inside succeeds.
until_() {
    local _
    for _ in $(seq 600); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "FAILED, waited a minute for: $*" >&2
    inside systemctl status --no-pager livestack >&2 || true
    inside journalctl --no-pager -u livestack >&2 || true
    exit 1
}
shows() { inside systemctl show livestack -P "$1"; }
is() { [ "$(shows "$1")" = "$2" ]; }
changed() { [ "$(shows MainPID)" != "$1" ] && is ActiveState active; }

until_ inside systemctl is-system-running
inside systemctl start livestack
until_ is ActiveState active
[ -n "$(shows StatusText)" ] || { echo "FAILED: no status" >&2; exit 1; }
echo "ok: ready, and says: $(shows StatusText)"

for frame in testdata/pleiades/input/*; do
    cp "$frame" "$night/input/"
done
until_ test -s "$night/output/latest.html"
until_ test -s "$night/output/latest.jpg"
echo "ok: frames are stacked, and it says: $(shows StatusText)"

pid=$(shows MainPID)
inside systemctl reload livestack
sleep 2
is MainPID "$pid" && is ActiveState active || { echo "FAILED: the reload ended it" >&2; exit 1; }
echo "ok: reload"

sleep 15
is MainPID "$pid" || { echo "FAILED: the watchdog ended it at rest" >&2; exit 1; }
echo "ok: gives signs of life at rest"

inside kill -9 "$pid"
until_ changed "$pid"
echo "ok: started again after a crash"

pid=$(shows MainPID)
inside kill -STOP "$pid"
until_ changed "$pid"
inside journalctl --no-pager -u livestack | grep -q 'Watchdog timeout'
echo "ok: started again after a hang"

inside systemctl stop livestack
is ActiveState inactive && is Result success && is ExecMainStatus 0 ||
    { echo "FAILED: stopped with $(shows Result), $(shows ExecMainStatus)" >&2; exit 1; }
echo "ok: stop"

mv "$night/input" "$night/away"
inside systemctl reset-failed livestack 2>/dev/null || true
inside systemctl start livestack 2>/dev/null || true
waits() { inside journalctl --no-pager -u livestack | grep -q 'the folder is gone, waiting for it'; }
until_ waits
sleep 7
is ActiveState active && is NRestarts 0 ||
    { echo "FAILED: $(shows ActiveState), $(shows ExecMainStatus), starts: $(shows NRestarts)" >&2; exit 1; }
echo "ok: a session that goes on waits for its folder"
inside systemctl stop livestack

mv "$night/output" "$night/elsewhere"
inside systemctl start livestack 2>/dev/null || true
until_ is ActiveState failed
sleep 7
is ActiveState failed && is ExecMainStatus 4 && is NRestarts 0 ||
    { echo "FAILED: $(shows ActiveState), $(shows ExecMainStatus), starts: $(shows NRestarts)" >&2; exit 1; }
echo "ok: without a session a missing folder is exit code 4, and no reason to start again and again"
echo "all passed"
