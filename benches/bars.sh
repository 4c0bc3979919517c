#!/usr/bin/env bash
# Every promise about speed and memory that is made of the CPU backend, measured in one run, sides alternating: against a
# plain OpenCV + NumPy script, against decoding alone, memory, all six rules against one, alignment, scaling with cores,
# time to the first frame. Prints markdown: the bars, what was measured, the sides.
#
#     benches/bars.sh REFERENCE.py FOLDER [RUNS]
#
# REFERENCE.py INPUT OUT --dark DARK --method ADDCOMP must stack INPUT; it runs RUNS times (1; 0: not at all), our sides
# three times as often, before it and behind it. FOLDER holds input/ and dark/. PYTHON names an interpreter with what the
# script wants (python3); FRAMES=N takes the first N lights only. Where there are more than two cores, all runs on two.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n 's/^#     //p' "$0" >&2
    exit 2
fi
reference=$(realpath "$1")
folder=$(realpath "$2")
cd "$(dirname "$0")/.."
cargo build --release --locked --quiet --bin livestack --example apart
exec "${PYTHON:-python3}" benches/bars.py target/release "$reference" "$folder" "${3:-1}" "${FRAMES:-0}"
