"""What benches/bars.sh does: see there. Needs nothing but Python's own library."""
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

binaries, reference, folder, runs, most = sys.argv[1:]
LIVESTACK, APART = (str(Path(binaries, name).resolve()) for name in ("livestack", "examples/apart"))
OURS = 3  # rounds of our sides for each run of the reference
CORES = 2
WATCH = 3  # s
QUIET = 0.05  # share of all cores that others may use


def natural(path):
    return [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", path.name)]


def files(of):
    found = sorted((p for p in Path(folder, of).iterdir() if p.is_file() and p.name[0] != "."), key=natural)
    if not found:
        sys.exit(f"bars.sh: no files: {Path(folder, of)}")
    return found


class Side:
    """Runs of one command."""

    def __init__(self):
        self.wall, self.cpu, self.peak_mb, self.first, self.write, self.align = [], [], [], [], [], []
        self.out = ""

    def run(self, command, **environment):
        start = time.perf_counter()
        said = open(work / "said", "w+")
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, cwd=work,
                                 env=os.environ | environment)
        lines, first = [], None
        for line in child.stdout:
            if first is None and '"event":"stacked"' in line:
                first = time.perf_counter() - start
            lines.append(line)
        _, status, used = os.wait4(child.pid, 0)
        self.wall.append(time.perf_counter() - start)
        if os.waitstatus_to_exitcode(status) != 0:
            sys.exit(f"bars.sh: {' '.join(map(str, command))} failed:\n{(work / 'said').read_text()}")
        child.returncode = 0
        said.close()
        self.cpu.append(used.ru_utime + used.ru_stime)
        self.peak_mb.append(used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))
        self.out = "".join(lines)
        if first is not None:
            self.first.append(first)


def stack(side, *arguments, method="addcomp"):
    """A run of ours, with what it writes apart and its alignment, frame by frame."""
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    side.run([LIVESTACK, "stack", *arguments, "-o", out, "--method", method, "--backend", "cpu", "--json", "--timings"])
    spans = [e for e in map(json.loads, side.out.splitlines()) if e["event"] == "timings"][-1]["spans"]
    side.write.append(sum(s["ms"] for s in spans if s["name"] == "write") / 1e3)
    records = [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]
    left_out = [r["file"] for r in records if r["status"] != "stacked"]
    if left_out:
        sys.exit(f"bars.sh: frames were rejected: take a folder of good frames: {left_out[0]}")
    # The first frame is the reference of the others.
    side.align += [r["elapsed_ms"]["align"] for r in records[1:]]


def fresh():
    """An empty folder for masters: each run makes its own, as the reference does."""
    cache = work / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    return ["--dark", dark, "--cache", cache]


def apart(side, threads):
    """Each frame decoded, then stacked, nothing beside it: medians over the frames behind the first, ms."""
    cores = allowed[:threads]
    darks = [word for path in darks_ for word in ("--dark", path)]
    side.run(["taskset", "-c", ",".join(map(str, cores)), APART, "stack", *darks, *lights],
             RAYON_NUM_THREADS=str(threads))
    return {stage: median(ms[1:] or ms) for stage, ms in json.loads(side.out).items() if stage != "files"}


def ticks():
    """Ticks of all cores since the start, and those of them in which nothing ran."""
    numbers = [int(word) for word in open("/proc/stat").readline().split()[1:]]
    return sum(numbers[:8]), numbers[3] + numbers[4]


def others():
    """The share of the machine that others use."""
    before = ticks()
    time.sleep(WATCH)
    after = ticks()
    return 1 - (after[1] - before[1]) / max(1, after[0] - before[0])


lights, darks_ = files("input")[: int(most) or None], files("dark")
allowed = sorted(os.sched_getaffinity(0))[:CORES]
os.sched_setaffinity(0, allowed)
busy = others()

with tempfile.TemporaryDirectory(prefix="livestack-bars-") as name:
    work = Path(name)
    given, dark = work / "input", Path(folder, "dark")
    given.mkdir()
    for path in lights:
        (given / path.name).symlink_to(path)

    one, six, plain, alone, first, warm, script = (Side() for _ in range(7))
    single, both = Side(), Side()
    decode_lights, decode_all, decode_first, at_one, at_two = [], [], [], [], []

    def ours():
        stack(one, given, *fresh())
        alone.run([APART, "decode", *lights, *darks_])
        ms = json.loads(alone.out)["decode"]
        decode_lights.append(sum(ms[: len(lights)]) / 1e3)
        decode_all.append(sum(ms) / 1e3)
        decode_first.append(ms[0] / 1e3)
        stack(plain, given)
        stack(six, given, *fresh(), method="all")
        at_one.append(apart(single, 1))
        at_two.append(apart(both, CORES))
        stack(first, lights[0])
        # The master was made by the run before.
        stack(Side(), lights[0], *fresh())
        stack(warm, lights[0], "--dark", dark, "--cache", work / "cache")
        print(".", end="", file=sys.stderr, flush=True)

    total = OURS * max(1, int(runs))
    for k in range(total):
        ours()
        if k % OURS == OURS // 2 and int(runs):
            script.run([sys.executable, reference, given, work / "reference", "--dark", dark, "--method", "ADDCOMP"])
            print("R", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)

model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
             platform.machine())
print(f"{platform.machine()}, {model}, {len(allowed)} of {os.cpu_count()} cores, {datetime.date.today()}; {len(lights)} "
      f"lights, {len(darks_)} darks; medians of {total} runs, of the script {len(script.wall)}; others used "
      f"{100 * busy:.0f} % of the machine before")
if busy > QUIET:
    print("\n**The machine was busy: these figures count for nothing.**")

rows = []


def bar(measure, limit, measured, kept):
    rows.append((measure, limit, measured, "pass" if kept else "**fail**"))


n = len(lights)
if script.wall:
    ratio = median(script.wall) / median(one.wall)
    bar("against the script, one rule, darks on both sides", "at least 35 times faster (aim 40)",
        f"{median(script.wall) / n:.2f} / {median(one.wall) / n:.3f} s a frame: {ratio:.1f} times", ratio >= 35)
for what, side, decoded in (("lights", plain, decode_lights), ("lights and darks", one, decode_all)):
    ratio = median(side.wall) / median(decoded)
    bar(f"against decoding alone on one thread, {what}", "at most 1.7 times",
        f"{median(side.wall):.2f} / {median(decoded):.2f} s: {ratio:.2f} times", ratio <= 1.7)
bar("peak memory, one rule", "at most 800 MB", f"{max(one.peak_mb):.0f} MB", max(one.peak_mb) <= 800)
bar("peak memory, all six", "at most 1900 MB", f"{max(six.peak_mb):.0f} MB", max(six.peak_mb) <= 1900)
work_one, work_six = (median(w - o for w, o in zip(s.wall, s.write)) for s in (one, six))
bar("all six rules against one, output apart", "at most 1.8 times",
    f"{work_six:.2f} / {work_one:.2f} s: {work_six / work_one:.2f} times", work_six / work_one <= 1.8)
for what, ms in (("decoding beside it", median(one.align or [0])),
                 ("nothing beside it", median(t["align"] for t in at_two))):
    bar(f"alignment, {what}", "at most 60 ms a frame", f"{ms:.0f} ms", ms <= 60)
kernels = [median(t["kernels"] for t in at) for at in (at_one, at_two)]
bar(f"scaling of the kernels from 1 to {len(allowed)} cores", "at least 1.7 times",
    f"{kernels[0]:.0f} / {kernels[1]:.0f} ms a frame: {kernels[0] / kernels[1]:.2f} times", kernels[0] / kernels[1] >= 1.7)
for what, side in (("no darks", first), ("cached master", warm)):
    limit = median(decode_first) + 0.4
    bar(f"from process start to the first frame stacked, {what}", f"at most decode + 0.4 s = {limit:.2f} s",
        f"{median(side.first):.2f} s", median(side.first) <= limit)

print("\n| measure | bar | measured | |\n|---|---|---|---|")
for row in rows:
    print("| " + " | ".join(row) + " |")

print("\n| side | s | least | most | CPU s | peak MB |\n|---|---|---|---|---|---|")
for label, side in (("script, one rule, darks", script), ("one rule, darks", one), ("one rule, no darks", plain),
                    ("all six, darks", six), ("decoding alone, lights and darks", alone),
                    ("one light, no darks", first), ("one light, cached master", warm)):
    if side.wall:
        print(f"| {label} | {median(side.wall):.2f} | {min(side.wall):.2f} | {max(side.wall):.2f} | "
              f"{median(side.cpu):.2f} | {max(side.peak_mb):.0f} |")
print(f"\nWriting the outputs: {median(one.write):.2f} s of one rule, {median(six.write):.2f} s of all six.")

print("\n| stage, nothing beside it, ms a frame | 1 core | 2 cores | times |\n|---|---|---|---|")
for stage in at_two[0]:
    slow, fast = (median(t.get(stage, 0.0) for t in at) for at in (at_one, at_two))
    if fast > 0.05:
        print(f"| {stage} | {slow:.1f} | {fast:.1f} | {slow / fast:.2f} |")

if script.out:
    print("\nThe script's own account:\n\n```text\n" + script.out.strip() + "\n```")
