#!/usr/bin/env bash
# Everything that is measured on a real GPU, in one run: parity, kernels, the whole pipeline against the CPU path.
#
#     benches/on_gpu.sh [FOLDER]
#
# FOLDER holds input/ and dark/ (20 Mpix frames, for instance); without it testdata/pleiades serves. Set PREBUILT to a
# folder with the binaries livestack, parity, gpu_backend and kernels where there is no cargo (benches/on_gpu.sh --build
# PREBUILT makes it). Ends with non-zero status if parity fails.
set -euo pipefail
cd "$(dirname "$0")/.."

build() {
    mkdir -p "$1"
    cargo build --release --locked
    cp target/release/livestack "$1/"
    # The newest binary of each target is the one that was just built.
    local line name path
    cargo test --release --locked --no-run --test parity --test gpu_backend --message-format=json |
        grep -o '"executable":"[^"]*"' | cut -d'"' -f4 | while read -r path; do
        name=$(basename "$path")
        cp "$path" "$1/${name%-*}"
    done
    cargo bench --locked --no-run --bench kernels --message-format=json |
        grep -o '"executable":"[^"]*"' | cut -d'"' -f4 | while read -r path; do
        name=$(basename "$path")
        cp "$path" "$1/${name%-*}"
    done
}

if [ "${1:-}" = --build ]; then
    build "$2"
    exit
fi
folder=${1:-testdata/pleiades}
bin=${PREBUILT:-}
if [ -z "$bin" ]; then
    bin=target/on_gpu
    build "$bin"
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

echo "== devices, $(date +%F)"
"$bin/livestack" devices
nproc
echo "== parity"
"$bin/parity" --test-threads 4
"$bin/gpu_backend" --test-threads 4
echo "== kernels, GPU"
"$bin/kernels" gpu
echo "== kernels, CPU"
"$bin/kernels"
for method in addcomp all; do
    for run in 1 2 3; do
        for backend in gpu cpu; do
            start=$(date +%s.%N)
            "$bin/livestack" stack "$folder/input" --dark "$folder/dark" -o "$out/$backend" --method "$method" \
                --backend "$backend" --format tiff --timings >"$out/$backend.txt"
            echo "== $method, $backend, run $run: $(echo "$(date +%s.%N) - $start" | bc) s"
        done
    done
    cat "$out/gpu.txt" "$out/cpu.txt"
done
