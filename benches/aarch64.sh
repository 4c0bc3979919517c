#!/usr/bin/env bash
# Builds livestack for aarch64 (Raspberry Pi OS and other 64-bit Arm Linux) on a Debian x86-64 machine and runs the tests
# of the CPU path under qemu, then shows that the NEON path is the one taken. qemu says nothing about speed.
#
#     benches/aarch64.sh [--build] [TEST...]
#
# --build: only build. TEST: these test files instead of the set below (`lib` for the unit tests). Needs rustup, which adds
# the target, apt, root for the packages, and crates.io; takes some 15 CPU minutes to build, in the profile of the tests.
#
# Not run here: everything on a GPU (LIVESTACK_TEST_GPU=skip), the page in a browser, nights that watch a folder in real
# time (watch*, night_*, kills, soak, signals, session_rules, taken_up, second_cuts): qemu is too slow for their clocks;
# and the long studies (convergence, grading, nights, real_sequences), whose kernels align and golden run too.
set -euo pipefail
cd "$(dirname "$0")/.."

# What reads files, calibrates, aligns, stacks, resumes and writes; the start with what is most likely to differ.
TESTS=(lib golden parity demosaic pixels align calibration formats fits fits_tiles fits_write raw pictures masters
    resume add stretches colour cli_usage)
TARGET=aarch64-unknown-linux-gnu
SYSROOT=/usr/aarch64-linux-gnu
NICE=(nice -n 10)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/aarch64}

only_build=
if [ "${1:-}" = --build ]; then
    only_build=1
    shift
fi
if [ $# -gt 0 ]; then
    TESTS=("$@")
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
if ! { command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64-static && [ -e $SYSROOT/lib/libc.so.6 ]; } >/dev/null; then
    "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=600 update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq \
        --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static >/dev/null
fi

rustup target add $TARGET
version=$(rustc --version | cut -d' ' -f2)
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# Cargo runs tests by it, and the tests the program.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L $SYSROOT"
cargo=("${NICE[@]}" cargo)
flags=(--target $TARGET --locked)
wanted=()
for test in "${TESTS[@]}"; do
    if [ "$test" = lib ]; then wanted+=(--lib); else wanted+=(--test "$test"); fi
done

echo "== build: rustc $version, $(aarch64-linux-gnu-gcc -dumpversion) as linker, $(qemu-aarch64-static --version | head -1)"
"${cargo[@]}" build "${flags[@]}" --bin livestack
"${cargo[@]}" test "${flags[@]}" --no-run "${wanted[@]}"
program=$CARGO_TARGET_DIR/$TARGET/debug/livestack
[ -z "$only_build" ] || exit 0

# The run must say NEON, and the compiler must have made vector instructions of the kernels.
echo "== NEON"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
run=($program stack --json --method all,mean --format tiff)
input=testdata/pleiades/input
"${NICE[@]}" qemu-aarch64-static -L $SYSROOT "${run[@]}" --backend cpu -o "$out/arm" "$input" >"$out/events"
grep -o '"backend":"[^"]*"' "$out/events" | head -1
grep -q '"backend":"CPU, [^"]*NEON' "$out/events"
# Vector arithmetic, by the function: the twins are dispatched by pulp, inlined into `imp_fastcall` or into what runs bands.
aarch64-linux-gnu-objdump -d -C --no-show-raw-insn "$program" | awk '
    /^[0-9a-f]+ <.*>:$/ { name = substr($0, index($0, "<") + 1, 90); ours = name ~ /imp_fastcall|livestack::/ }
    ours && /\t(fmul|fmla|fmls|fadd|fsub|fdiv|fmax|fmin|fmaxnm|fminnm|scvtf|ucvtf|fcvtzs|fcvtzu|add|sub|mul|mla|umlal|umull|uaddw|ushll|ushl|shl)2?\tv[0-9]+\./ { n[name]++; if (name ~ /Neon/) neon++ }
    END {
        for (k in n) if (n[k] >= 20) print n[k], k | "sort -rn"
        close("sort -rn")
        if (neon < 1000) { print "few vector instructions in the twins: " neon + 0 > "/dev/stderr"; exit 1 }
    }'

# The same frames on this machine's own instructions: do the two agree to the last bit?
if [ "$(uname -m)" = x86_64 ] && [ -x target/release/livestack ]; then
    echo "== against x86-64: all stacks of $input as 32-bit TIFF"
    "${NICE[@]}" target/release/livestack "${run[@]:1}" --backend cpu -o "$out/x86" "$input" >/dev/null
    for file in "$out"/x86/*.tif*; do
        name=$(basename "$file")
        echo "$name: $( (cmp -l "$file" "$out/arm/$name" || true) | wc -l) of $(stat -c %s "$file") bytes differ"
    done
fi

echo "== tests"
failed=()
export LIVESTACK_TEST_GPU=skip LIVESTACK_TEST_BROWSER=skip
for test in "${TESTS[@]}"; do
    if [ "$test" = lib ]; then one=(--lib); else one=(--test "$test"); fi
    SECONDS=0
    # These start themselves by a shell, which knows no qemu.
    [ "$test" != lib ] || one+=(-- --skip service::tests)
    if ! "${cargo[@]}" test "${flags[@]}" "${one[@]}" >"$out/$test.txt" 2>&1; then
        failed+=("$test")
        grep -E '^(test .* FAILED|---- |thread )|panicked|error' "$out/$test.txt" || tail -n 20 "$out/$test.txt"
    fi
    echo "$test: $(grep '^test result' "$out/$test.txt" | cut -d';' -f1-3 | tr '\n' ' ') ($SECONDS s)"
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
echo "all passed, $(date +%F)"
