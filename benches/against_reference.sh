#!/usr/bin/env bash
# Seconds a frame and peak memory of livestack (CPU backend) against a plain OpenCV + NumPy script that stacks the same
# folder, alternating in one run on one machine.
#
#     benches/against_reference.sh REFERENCE.py FOLDER [RUNS]
#
# REFERENCE.py INPUT OUT --dark DARK --method ADDCOMP must stack INPUT; FOLDER holds input/ and dark/.
set -euo pipefail
reference=$(realpath "$1")
folder=$(realpath "$2")
runs=${3:-3}
cd "$(dirname "$0")/.."
cargo build --release --locked --quiet
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
frames=$(find "$folder/input" -type f | wc -l)

# timed LABEL COMMAND...: appends "LABEL seconds kB" to the table.
timed() {
    local label=$1
    shift
    /usr/bin/time -f "$label %e %M" -a -o "$out/table" "$@" >/dev/null
}

livestack=target/release/livestack
for _ in $(seq "$runs"); do
    timed one "$livestack" stack "$folder/input" --dark "$folder/dark" -o "$out/one" --method addcomp --backend cpu
    timed reference python3 "$reference" "$folder/input" "$out/reference" --dark "$folder/dark" --method ADDCOMP
    timed all "$livestack" stack "$folder/input" --dark "$folder/dark" -o "$out/all" --method all --backend cpu
done

echo "$(uname -m), $(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs), $frames frames, $(date +%F)"
sort -k1,1 -k2,2n "$out/table" | awk -v frames="$frames" -v runs="$runs" '
    { t[$1, ++n[$1]] = $2; if ($3 > m[$1]) m[$1] = $3 }
    END {
        k = int((runs + 1) / 2)
        printf "%-22s %10s %12s %9s\n", "", "s a frame", "total s", "peak MB"
        for (l in n) printf "%-22s %10.3f %12.2f %9.0f\n", l, t[l, k] / frames, t[l, k], m[l] / 1000
        printf "reference / one rule:  %.1f\n", t["reference", k] / t["one", k]
        printf "all six / one rule:    %.2f\n", t["all", k] / t["one", k]
    }'
