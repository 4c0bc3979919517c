#!/usr/bin/env bash
# What the Raspberry Pi's own shader compiler makes of every kernel in every set of choices, as Markdown tables; then frame
# times derived from it. Nothing runs on a Pi: the driver compiles for a stand-in device.
#
#     benches/v3d.sh TOOL [WGSL]
#
# TOOL: a folder with prefix/ (Mesa's V3DV and its stand-in device, as the tool's build.sh installs them) and v3dstats/ (the
# cargo project that prints the compiler's figures). WGSL: modules that are written out already; without it they are written
# by the test `shader_contract`.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# As livestack compiles them: workgroup memory is not filled with zeros first.
grep -rlq 'zero_initialize_workgroup_memory: !unchecked' "$tool/v3dstats/src" &&
    sed -i 's/zero_initialize_workgroup_memory: !unchecked/zero_initialize_workgroup_memory: false/' "$tool/v3dstats/src/main.rs"
stats=$tool/target/release/v3dstats
if [ ! -x "$stats" ] || [ "$tool/v3dstats/src/main.rs" -nt "$stats" ]; then
    nice -n 10 cargo build --release --quiet --manifest-path "$tool/v3dstats/Cargo.toml" --target-dir "$tool/target"
fi
wgsl=${2:-$work/wgsl}
if [ $# -lt 2 ]; then
    LIVESTACK_DUMP_WGSL=$wgsl nice -n 10 cargo test --release --quiet --test shader_contract joined >/dev/null
fi
export V3D_SHIM_ROOT=$tool/prefix
for file in "$wgsl"/*.wgsl; do
    # The stand-in device now and then crashes as it is put away: what counts is that both chips' figures are there.
    for try in 1 2 3 4 5; do
        nice -n 10 "$stats" --checked "$file" >"$work/one" 2>&1 || true
        [ "$(grep -c ' checked ' "$work/one" || true)" -ne 2 ] || break
        [ "$try" -lt 5 ] || { grep -E '@error|failed' "$work/one" >&2; exit 1; }
    done
    awk -v name="$(basename "$file" .wgsl)" -v OFS='\t' '
        $3 == "checked" { match($0, /\[[0-9, ]*\]/); print name, $2, $4, $5, $9, substr($0, RSTART, RLENGTH) }' "$work/one"
done >"$work/figures"
[ -s "$work/figures" ] || { echo "the compiler gave no figures: $stats $wgsl" >&2; exit 1; }
python3 benches/v3d_table.py "$work/figures" "$wgsl"
