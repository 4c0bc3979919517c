#!/usr/bin/env bash
# A night with a real camera server: INDI's camera simulator saves FITS into a folder that livestack watches.
#
#   bash tests/indi.sh [BINARY]        default: target/release/livestack, else target/debug/livestack
#
# Needs Debian's indi-bin (indiserver, indi_simulator_ccd, indi_simulator_telescope, indi_setprop) and python3. The
# simulator's stars come from tests/indi_gsc.py. Exit code 0: at least 18 of 20 exposures are stacked and the outputs
# are there. Not part of the everyday test run. LIVESTACK_INDI_KEEP=1 keeps the folder.
set -u

frames=20          # exposures
least=18           # of them must be stacked
exposure=0.5       # seconds each
patience=240       # seconds for all of them
port=17624         # not INDI's own 7624, where an observatory may be at work

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
binary=${1:-$root/target/release/livestack}
[ -n "${1:-}" ] || [ -x "$binary" ] || binary=$root/target/debug/livestack
fail() { echo "indi: $*" >&2; exit 1; }

[ -x "$binary" ] || fail "expected the program, got nothing: build it or name it: $binary"
for tool in indiserver indi_simulator_ccd indi_simulator_telescope indi_setprop indi_getprop python3; do
    command -v "$tool" >/dev/null || fail "expected $tool on the PATH: apt-get install indi-bin python3"
done

place=$(mktemp -d "${TMPDIR:-/tmp}/livestack-indi-XXXXXX")
hot=$place/hot out=$place/out
mkdir "$hot" "$place/bin" "$place/home"
ln -s "$here/indi_gsc.py" "$place/bin/gsc"
chmod +x "$here/indi_gsc.py"

server= watch=
tidy() {
    [ -z "$watch" ] || kill "$watch" 2>/dev/null
    # The drivers end with their server.
    [ -z "$server" ] || kill "$server" 2>/dev/null
    wait 2>/dev/null
    [ -n "${LIVESTACK_INDI_KEEP:-}" ] && echo "kept: $place" || rm -rf "$place"
}
trap tidy EXIT
trap 'exit 130' INT TERM

# A home of its own: drivers read and keep their settings there.
HOME=$place/home PATH=$place/bin:$PATH \
    indiserver -p "$port" indi_simulator_telescope indi_simulator_ccd >"$place/server.log" 2>&1 &
server=$!

set_property() { indi_setprop -p "$port" "$@" || fail "cannot set $*: $(tail -3 "$place/server.log")"; }
# Waits until a property is this.
await() {
    for _ in $(seq 100); do
        [ "$(indi_getprop -p "$port" -t 1 -1 "$1" 2>/dev/null)" = "$2" ] && return
        sleep 0.1
    done
    fail "expected $1 to become $2: $(tail -3 "$place/server.log")"
}

ccd='CCD Simulator' mount='Telescope Simulator'
await "$mount.CONNECTION.CONNECT" Off
await "$ccd.CONNECTION.CONNECT" Off
set_property "$mount.CONNECTION.CONNECT=On"
set_property "$ccd.CONNECTION.CONNECT=On"
await "$mount.CONNECTION.CONNECT" On
await "$ccd.CONNECTION.CONNECT" On
# A field away from the pole, where the telescope is parked, and a mount that follows the sky.
set_property "$mount.TELESCOPE_PARK.UNPARK=On"
set_property "$mount.ON_COORD_SET.SYNC=On"
set_property "$mount.TELESCOPE_TRACK_STATE.TRACK_ON=On"
# Dithered by some arc seconds: a telescope that is told where it looks has not moved, but the simulator's sky has.
point() { set_property "$mount.EQUATORIAL_EOD_COORD.RA=5.500$(($1 * 5 % 10));DEC=30.00$(($1 * 7 % 10))"; }
point 0
set_property "$ccd.UPLOAD_MODE.UPLOAD_LOCAL=On"
set_property "$ccd.UPLOAD_SETTINGS.UPLOAD_DIR=$hot;UPLOAD_PREFIX=light_XXX"
await "$ccd.UPLOAD_SETTINGS.UPLOAD_DIR" "$hot"

"$binary" watch "$hot" --out "$out" --max-frames "$frames" --backend cpu >"$place/watch.log" 2>&1 &
watch=$!

saved() { find "$hot" -name '*.fits' -size +0 | wc -l; }
started=$SECONDS
for n in $(seq "$frames"); do
    point "$n"
    set_property "$ccd.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=$exposure"
    while [ "$(saved)" -lt "$n" ]; do
        [ $((SECONDS - started)) -lt "$patience" ] || fail "expected $n exposures, got $(saved): $(tail -3 "$place/server.log")"
        sleep 0.1
    done
done
echo "$frames exposures saved in $((SECONDS - started)) s"

while kill -0 "$watch" 2>/dev/null; do
    [ $((SECONDS - started)) -lt "$patience" ] || fail "watch has not ended after $patience s: $(tail -3 "$place/watch.log")"
    sleep 0.2
done
wait "$watch"; code=$?; watch=
tail -5 "$place/watch.log"
[ "$code" = 0 ] || fail "watch ended with exit code $code"

stacked=$(grep -c '"status":"stacked"' "$out/frames.jsonl")
rejected=$(grep -c '"status":"rejected"' "$out/frames.jsonl")
echo "stacked $stacked, rejected $rejected of $frames; outputs: $(cd "$out" && echo *)"
[ "$stacked" -ge "$least" ] || fail "expected at least $least stacked frames, got $stacked"
for pattern in '*.png' frames.jsonl latest.jpg latest.html; do
    [ -n "$(find "$out" -maxdepth 1 -name "$pattern" -size +0)" ] || fail "expected $pattern in the output folder, got none"
done
echo "indi: passed"
