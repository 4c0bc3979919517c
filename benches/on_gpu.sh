#!/usr/bin/env bash
# Everything that is measured on a real GPU, in one run: parity and the GPU's tests, kernels on both backends, files to
# stack, the program's own benchmark, device time against the bytes that must move, GPU against CPU.
#
#     [OUT=DIR] [PREBUILT=DIR] [STEPS="..."] benches/on_gpu.sh [FOLDER]
#     benches/on_gpu.sh --build DIR
#
# FOLDER holds input/ and dark/ (JPEG of 20 Mpix, for instance); without it FRAMES (12) of 20 Mpix are made. Everything goes
# into OUT as text (a new folder under $TMPDIR), summary.md last. STEPS are some of: devices tests kernels pipeline bench
# stack summary; where a machine is lent by the minute they can run one by one into one OUT. PREBUILT is what --build made
# elsewhere, for machines without cargo, network and Python: the folder, or a tar file of what is in it. LIVESTACK_BENCH_SIZES
# (sizes with commas between) are those of the kernels and the pipeline; all else takes the largest. What fails is said, the
# rest goes on; failed.txt lists it in the end, and the status is non-zero then.
set -euo pipefail
cd "$(dirname "$0")/.."

# Those that need nothing of the checkout, and those that read testdata/ where it was when they were compiled.
tests="parity gpu_backend gpu_bands gpu_lost resume_gpu"
tests_here="golden align pixels"

# Copies each executable that a build reports to $1, without the hash in its name.
keep() {
    local path name
    grep -o '"executable":"[^"]*"' | cut -d'"' -f4 | while read -r path; do
        name=$(basename "$path")
        cp "$path" "$1/${name%-*}"
    done
}

build() {
    local test targets=()
    rm -rf "$1"
    mkdir -p "$1"
    for test in $tests $tests_here; do targets+=(--test "$test"); done
    cargo build --release --locked --bin livestack --example apart --example make_testdata --message-format=json | keep "$1"
    cargo test --release --locked --no-run "${targets[@]}" --message-format=json | keep "$1"
    cargo bench --locked --no-run --bench kernels --bench pipeline --message-format=json | keep "$1"
    # Debugging information is nine tenths of them.
    ! command -v strip >/dev/null || strip "$1"/*
    pwd >"$1/checkout"
}

if [ "${1:-}" = --build ]; then
    build "$2"
    exit
fi
bin=${PREBUILT:-}
if [ -z "$bin" ]; then
    bin=target/on_gpu
    build "$bin"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -f "$bin" ]; then
    mkdir "$work/bin"
    tar xf "$bin" -C "$work/bin"
    bin=$work/bin
fi
bin=$(realpath "$bin")
out=${OUT:-$(mktemp -d "${TMPDIR:-/tmp}/livestack-gpu-XXXXXX")}
mkdir -p "$out"
out=$(realpath "$out")
export CRITERION_HOME="$work/criterion" LIVESTACK_BENCH_SIZES="${LIVESTACK_BENCH_SIZES:-5472x3648}"
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$work}"

size=$(tr ', ' '\n\n' <<<"$LIVESTACK_BENCH_SIZES" |
    awk -Fx '$1 * $2 > most { most = $1 * $2; size = $0 } END { print size }')
: >"$out/failed.txt"

# fail WHAT: notes what failed, also from within a pipe.
fail() { echo "FAILED: $*" | tee -a "$out/failed.txt" >&2; }

# step NAME: whether it is asked for.
step() {
    case " ${STEPS:-devices tests kernels pipeline bench stack summary} " in
    *" $1 "*) echo "== $1" >&2 ;;
    *) return 1 ;;
    esac
}

# The frames, made where none are given.
frames() {
    if [ -z "${folder:-}" ]; then
        folder=$out/frames
        [ -d "$folder/input" ] ||
            "$bin/make_testdata" "$folder" --size "$size" --frames "${FRAMES:-12}" --darks 2 || return 1
    fi
    mapfile -t lights < <(find "$folder/input" -maxdepth 1 -type f | sort)
    [ ${#lights[@]} -gt 0 ]
}

# seconds COMMAND...: its wall time; what it says goes to the last log.
seconds() {
    local start=$EPOCHREALTIME
    "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
    echo "$start $EPOCHREALTIME" | awk '{ printf "%.3f", $2 - $1 }'
}

# timed WHAT COMMAND...: a line of WHAT and the seconds.
timed() {
    local what=$1 took
    shift
    if took=$(seconds "$@"); then echo "$what $took"; else fail "$what"; fi
}

stack() { # BACKEND METHOD ARGUMENTS...
    local backend=$1 method=$2
    shift 2
    rm -rf "$work/stack"
    "$bin/livestack" stack "$@" --dark "$folder/dark" --cache "$work/masters" -o "$work/stack" --method "$method" \
        --backend "$backend"
}

# round NUMBER: to a tenth; `?` for none.
round() { awk -v x="$1" 'BEGIN { if (x == "") print "?"; else printf "%.1f", x }'; }

# spans FILE: kernel, milliseconds, bytes a line, from the event of --json --timings.
spans() {
    grep '"event":"timings"' "$1" | grep -o '{[^{}]*}' | awk '
        function value(key) {
            if (!match($0, "\"" key "\":[^,}]*")) return ""
            v = substr($0, RSTART, RLENGTH); sub(/^[^:]*:/, "", v); gsub(/"/, "", v); return v
        }
        value("kernel") == "true" { print value("name"), value("ms"), value("bytes") }
        value("name") == "upload" { print "upload", value("ms"), 0 }'
}

[ $# -eq 0 ] || folder=$(realpath "$1")
threads=$(nproc)
[ "$threads" -le 4 ] || threads=4

if step devices; then
    {
        date +%F
        "$bin/livestack" devices || fail devices
        nproc
        grep -m1 'model name' /proc/cpuinfo || uname -m
    } 2>&1 | tee "$out/devices.txt"
fi

if step tests; then
    run=$tests
    if [ -d "$(cat "$bin/checkout")/testdata/golden" ]; then
        run="$tests $tests_here"
    else
        echo "NOT RUN, since the checkout lies elsewhere than where it was built: $tests_here" | tee "$out/tests.txt"
    fi
    for test in $run; do
        if "$bin/$test" --test-threads 4 >"$out/test_$test.txt" 2>&1; then
            grep 'test result' "$out/test_$test.txt" | sed "s/^/$test: /"
        else
            fail "$test: see $out/test_$test.txt"
        fi
    done | tee -a "$out/tests.txt"
fi

for bench in kernels pipeline; do
    if step "$bench"; then
        LIVESTACK_BENCH_BACKENDS=gpu,cpu "$bin/$bench" --bench --noplot --warm-up-time 0.3 --measurement-time 1 \
            >"$out/$bench.txt" 2>"$out/$bench.err" || { tail -n 3 "$out/$bench.err"; fail "$bench: see $out/$bench.err"; }
        grep '^|' "$out/$bench.txt" || true
    fi
done

if step bench; then
    if "$bin/livestack" bench --help >/dev/null 2>&1; then
        of=(--size "$size")
        [ -z "${folder:-}" ] || of=(--input "$folder/input")
        for method in addcomp all; do
            "$bin/livestack" bench "${of[@]}" --backend gpu --method "$method" --json >"$out/bench_$method.json" \
                2>"$out/bench_$method.err" || { tail -n 3 "$out/bench_$method.err"; fail "bench --method $method"; }
        done
        "$bin/livestack" bench "${of[@]}" --backend gpu >"$out/bench.txt" 2>&1 || fail "bench as text"
        cat "$out/bench.txt"
    else
        echo "this build has no livestack bench" | tee "$out/bench.txt"
    fi
fi

if step stack && { frames || { fail "stack: no frames"; false; }; }; then
    for method in addcomp all; do
        for run in 1 2 3; do
            for backend in gpu cpu; do
                timed "$method $backend one" stack "$backend" "$method" "${lights[0]}"
                timed "$method $backend all" stack "$backend" "$method" "${lights[@]}"
            done
        done
        for backend in gpu cpu; do
            stack "$backend" "$method" "${lights[@]}" --json --timings >"$out/events_${backend}_$method.txt" 2>&1 ||
                fail "$method $backend with --timings"
        done
    done | tee "$out/stack.txt"
    # What the decoding threads of the program reach with nothing beside them.
    each() {
        local id ids=() bad=0
        for _ in $(seq "$threads"); do
            "$bin/apart" decode "${lights[@]}" &
            ids+=($!)
        done
        # Without ids `wait` does not tell what became of them.
        for id in "${ids[@]}"; do wait "$id" || bad=1; done
        return $bad
    }
    timed "decode threads $((threads * ${#lights[@]}))" each | tee -a "$out/stack.txt"
    echo "frames - ${#lights[@]} 0" >>"$out/stack.txt"
fi

if step summary; then
    {
        head -n 3 "$out/devices.txt" 2>/dev/null || true
        # As `livestack bench` measures it; without that, the kernel that only moves samples shows what the memory gives.
        copy=$(grep -o '"backend":"gpu","device":"[^"]*","copy_gb_s":{"median":[0-9.]*' "$out/bench_addcomp.json" 2>/dev/null |
            sed 's/.*://' || true)
        [ -n "$copy" ] || copy=$(awk -F'|' -v size="$size" '
            /^\| calibrate float colour, copied, gpu/ && index(size, $3 + 0 "x") == 1 { print $6 + 0; exit }' \
            "$out/kernels.txt" 2>/dev/null || true)
        frames=$(awk '$1 == "frames" { print $3 }' "$out/stack.txt" 2>/dev/null || true)
        # From the host to the device, and the bytes of a frame: what the decoder makes a second times what it takes for one.
        upload=$(grep -o '"upload_gb_s":{"median":[0-9.]*' "$out/bench_addcomp.json" 2>/dev/null | sed 's/.*://' || true)
        bytes=$(sed -nE 's/.*"decode":\{"ms":\{"median":([0-9.]+)[^}]*\},"gb_s":([0-9.]+).*/\1 \2/p' "$out/bench_addcomp.json" \
            2>/dev/null | awk '{ printf "%.0f", $1 * $2 * 1e6 }' || true)
        echo
        echo "| rule | device ms a frame | bytes a frame over the copy bandwidth ($(round "$copy") GB/s), ms | times (at most 3) |"
        echo "|---|---|---|---|"
        for method in addcomp all; do
            [ "${frames:-0}" -gt 0 ] && grep -qs '"event":"timings"' "$out/events_gpu_$method.txt" || continue
            # The picture at the end is no frame's.
            spans "$out/events_gpu_$method.txt" | grep -v -E '^(present|histogram|upload) ' |
                awk -v n="$frames" -v copy="${copy:-0}" -v rule="$method" '
                    { ms += $2; bytes += $3 }
                    END {
                        least = copy > 0 ? bytes / n / copy / 1e6 : 0
                        printf "| %s | %.2f | %.2f | %.1f |\n", rule, ms / n, least, (least > 0 ? ms / n / least : 0)
                    }'
        done
        echo
        echo "| rule | GPU, s a frame | CPU, s a frame | CPU / GPU | decoding alone on $threads threads, s a frame | upload alone ($(round "$upload") GB/s), s a frame | share reached of the slower of these two (at least 90 %) |"
        echo "|---|---|---|---|---|---|---|"
        [ ! -s "$out/stack.txt" ] || sort -k1,3 -k4,4n "$out/stack.txt" | awk -v upload="${upload:-0}" -v bytes="${bytes:-0}" '
            $1 == "decode" { decode = $4 / $3; next }
            $1 == "frames" { n = $3; next }
            { key = $1 " " $2 " " $3; t[key, ++count[key]] = $4 }
            function middle(key) { return t[key, int((count[key] + 1) / 2)] }
            # What the start and the outputs take is in both.
            function frame(rule, backend) {
                return n > 1 ? (middle(rule " " backend " all") - middle(rule " " backend " one")) / (n - 1) : 0
            }
            END {
                up = upload > 0 ? bytes / upload / 1e9 : 0
                most = up > decode ? up : decode
                split("addcomp all", rules, " ")
                for (k = 1; k <= 2; k++) {
                    r = rules[k]; g = frame(r, "gpu"); c = frame(r, "cpu")
                    if (g > 0) printf "| %s | %.4f | %.4f | %.1f | %.4f | %.4f | %.0f %% |\n", r, g, c, c / g, decode, up, 100 * most / g
                }
            }'
        for method in addcomp all; do
            [ "${frames:-0}" -gt 0 ] && grep -qs '"event":"timings"' "$out/events_gpu_$method.txt" || continue
            echo
            echo "Device time by kernel, $method (ms a frame, GB/s; upload: the host's time):"
            echo
            spans "$out/events_gpu_$method.txt" | awk -v n="$frames" '
                { printf "%-12s %8.3f %8.1f\n", $1, $2 / n, ($2 > 0 ? $3 / 1e6 / $2 : 0) }'
        done
    } | tee "$out/summary.md"
fi
echo "everything is in $out"
if [ -s "$out/failed.txt" ]; then
    cat "$out/failed.txt" >&2
    exit 1
fi
