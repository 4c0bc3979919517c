#!/usr/bin/env bash
# Seconds and peak memory of `livestack master` against NumPy (np.median, a kappa-sigma mean in f64) on the same
# folder of darks, alternating in one run on one machine; and whether both make the same master.
#
#     benches/masters.sh FOLDER [RUNS]
#
# FOLDER holds FITS or TIFF frames of 16 bits. Without one of your own, benches/masters.sh --make FOLDER [FRAMES] writes
# darks of 20 Mpix (100 are 4 GB). Needs Python 3 with numpy, astropy and tifffile.
set -euo pipefail
if [ "$1" = --make ]; then
    exec python3 - "$2" "${3:-100}" <<'PY'
import os, sys
import numpy as np, tifffile

folder, frames = sys.argv[1], int(sys.argv[2])
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(7)
h, w = 3648, 5472
base = 512 + 6 * rng.standard_normal((h, w), dtype=np.float32)
hot = rng.random((h, w)) < 2e-3
base[hot] += rng.exponential(3000, hot.sum())
noise = 14 * rng.standard_normal(2 * h * w, dtype=np.float32)
for k in range(frames):
    at = int(rng.integers(0, h * w))
    frame = base + noise[at:at + h * w].reshape(h, w)
    # Particles: in this frame only.
    frame[rng.integers(0, h, 2000), rng.integers(0, w, 2000)] += 20000 * rng.random(2000)
    tifffile.imwrite(f"{folder}/dark_{k:03}.tif", np.clip(np.rint(frame), 0, 65535).astype(np.uint16))
PY
fi
folder=$(realpath "$1")
runs=${2:-1}
cd "$(dirname "$0")/.."
cargo build --release --locked --quiet
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cat >"$out/reference.py" <<'PY'
import glob, os, sys
import numpy as np, tifffile
from astropy.io import fits

rule, folder, out = sys.argv[1:]
BAND = 64  # rows


def read(path):
    return fits.getdata(path) if path.endswith((".fits", ".fit", ".fts")) else tifffile.imread(path)


def sigma(x):
    x = x.astype(np.float64)
    keep = np.ones(x.shape, bool)
    while True:
        n = keep.sum(0)
        mean = np.where(keep, x, 0).sum(0) / n
        deviation = np.sqrt(np.where(keep, (x - mean) ** 2, 0).sum(0) / n)
        inside = keep & (np.abs(x - mean) <= 3 * deviation)
        if (inside == keep).all():
            return mean
        keep = inside


files = sorted(f for f in glob.glob(folder + "/*") if os.path.isfile(f))
stack = np.stack([read(f) for f in files])
rows = [stack[:, y:y + BAND] for y in range(0, stack.shape[1], BAND)]
master = np.concatenate([np.median(x, axis=0) if rule == "median" else sigma(x) for x in rows]).astype(np.float32)
np.save(out, master)
PY

# timed LABEL COMMAND...: appends "LABEL seconds CPU-seconds kB" to the table.
timed() {
    local label=$1
    shift
    /usr/bin/time -f "$label %e %U %M" -a -o "$out/table" "$@" >/dev/null
}

for _ in $(seq "$runs"); do
    for rule in median sigma; do
        rm -rf "$out/cache"
        timed "livestack_$rule" target/release/livestack master dark "$folder" --master "$rule" -o "$out/$rule.fits"
        timed "numpy_$rule" python3 "$out/reference.py" "$rule" "$folder" "$out/$rule.npy"
    done
done
echo "$(uname -m), $(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs), $(date +%F)"
sort -k1,1 -k2,2n "$out/table" | awk -v runs="$runs" '
    { t[$1, ++n[$1]] = $2; u[$1] = $3; if ($4 > m[$1]) m[$1] = $4 }
    END {
        k = int((runs + 1) / 2)
        printf "%-20s %9s %9s %9s\n", "", "seconds", "CPU s", "peak MB"
        for (l in n) printf "%-20s %9.1f %9.1f %9.0f\n", l, t[l, k], u[l], m[l] / 1000
        for (r in n) if (sub("numpy_", "", r)) printf "numpy / livestack, %s: %.1f\n", r, t["numpy_" r, k] / t["livestack_" r, k]
    }'
python3 - "$out" <<'PY'
import sys
import numpy as np
from astropy.io import fits

for rule in "median", "sigma":
    ours, theirs = fits.getdata(f"{sys.argv[1]}/{rule}.fits"), np.load(f"{sys.argv[1]}/{rule}.npy")
    print(f"{rule}: largest difference {np.abs(ours - theirs).max():.3g} levels, of {ours.size} samples "
          f"{(ours != theirs).sum()} differ")
PY
