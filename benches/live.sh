#!/usr/bin/env bash
# Live stacking, measured: the time from a file's close to the published picture, and what a call of `add` takes.
#
#   benches/live.sh LIVESTACK FRAMES_DIR [N]
#
# FRAMES_DIR: frames of one size (shared generators make them up to 20 Mpix); N of them (12) arrive one every 2 s in a
# fresh folder on the disk of $TMPDIR, and are then added one by one to another session. CPU backend, one rule.
set -euo pipefail
program=$(realpath "$1")
frames=$(realpath "$2")
count=${3:-12}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
mkdir -p "$work/in"
mapfile -t files < <(find "$frames" -maxdepth 1 -type f | sort | head -n "$count")
echo "disk: $(dd if=/dev/zero of="$work/speed" bs=1M count=512 conv=fdatasync 2>&1 | tail -n 1 | sed 's/.*, //')"
rm -f "$work/speed"

"$program" watch "$work/in" --out "$work/out" --backend cpu --max-frames "$count" --json --timings >"$work/events" &
watch=$!
sleep 2
for file in "${files[@]}"; do
    cp "$file" "$work/in/"
    sleep 2
done
wait $watch
python3 - "$work/events" <<'PY'
import json, statistics, sys
events = [json.loads(line) for line in open(sys.argv[1])]
got = [e for e in events if e["event"] == "published" and e["latency_ms"] is not None]
ms = [e["latency_ms"] for e in got]
print(f"watch: {len(ms)} pictures, close to picture median {statistics.median(ms):.0f} ms, "
      f"min {min(ms):.0f}, max {max(ms):.0f}")
print(f"  of it rendering {statistics.median(e['render_ms'] for e in got):.0f} ms, "
      f"compressing and writing {statistics.median(e['write_ms'] for e in got):.0f} ms (medians)")
stacked = [e["frame"]["elapsed_ms"] for e in events if e["event"] == "stacked"][1:]
for stage in stacked[0]:
    print(f"  {stage} {statistics.median(s.get(stage, 0) for s in stacked):.1f} ms")
spans = {s["name"]: s for e in events if e["event"] == "timings" for s in e["spans"]}
for name in ("decode (threads)", "publish (thread)", "checkpoint"):
    if name in spans:
        print(f"  {name}: {spans[name]['ms'] / max(1, spans[name]['calls']):.0f} ms a call, {spans[name]['calls']} calls")
PY
for file in "${files[@]}"; do
    /usr/bin/time -f '%e %M' "$program" add "$file" --session "$work/added" --backend cpu 2>>"$work/times" >/dev/null
done
awk '{ print "add: " $1 " s, " int($2 / 1024) " MB" }' "$work/times"
