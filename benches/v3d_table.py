"""Tables of the figures that benches/v3d.sh gathers, and the frame times derived from them."""
import re
import sys

# The budget: instructions, hardware threads of streaming kernels and of reductions, storage buffers.
MOST, STREAMING, REDUCTION, BUFFERS = 600, 4, 2, 8
REDUCTIONS = {"tiles", "measure", "ecc", "histogram"}
CHIPS = {"42": "Pi 4", "71": "Pi 5"}
# Of each chip: instructions a second (of each lane; peak FLOP/s is an add and a mul in each), bytes a second.
RATE = {"42": (16e9, 4e9), "71": (38.5e9, 8e9)}
WIDTH, HEIGHT = 5472, 3648
PIXELS = WIDTH * HEIGHT

figures = {}
for line in open(sys.argv[1]):
    name, chip, count, threads, spills, loops = line.rstrip("\n").split("\t")
    loops = [int(n) for n in re.findall(r"\d+", loops)]
    figures.setdefault(name, {})[chip] = (int(count), int(threads), spills, loops)

print("| kernel | Pi 4: instructions, threads | Pi 5: instructions, threads | spills:fills | over |")
print("|---|---|---|---|---|")
over = 0
for name, chips in sorted(figures.items()):
    kernel = name.split(".")[0]
    text = open(f"{sys.argv[2]}/{name}.wgsl").read()
    buffers = len(re.findall(r"var<storage", text))
    least = REDUCTION if kernel in REDUCTIONS else STREAMING
    marks = []
    for chip, (count, threads, spills, _) in sorted(chips.items()):
        what = [w for w, bad in [
            (f"{count} instructions", count >= MOST), (f"{threads} threads", threads < least),
            (f"spills {spills}", spills != "0:0"), (f"{buffers} buffers", buffers > BUFFERS)] if bad]
        if what:
            marks.append(f"{CHIPS[chip]}: {', '.join(what)}")
    over += bool(marks)
    cells = [f"{chips[c][0]}, {chips[c][1]}" for c in ("42", "71")]
    label = name.replace(".", " ")
    print(f"| {label} | {cells[0]} | {cells[1]} | {chips['42'][2]}, {chips['71'][2]} | {'; '.join(marks)} |")
print(f"\n{len(figures)} modules, {over} over the budget.\n")

# Of a frame of 8-bit colour with a fixed-point dark, one rule (addcomp): the module, pixels a thread, how often its loops
# run (everything else once), calls, pixels of a call, bytes a pixel that are read and written.
# gray: 340 quads of luminance by 256 threads. ecc: 4 rows of taps; 768 patches of 256 pixels, 6 iterations, the most and
# about the usual. measure: 1024 windows of 1024 pixels, the most.
ADDCOMP = "accumulate.store=1.slots=1.op0=5.op1=0.op2=0.op3=0.op4=0.op5=0"
FRAME = [
    ("calibrate.channels=3.input=0.mode=1.flat=0.bin=1", 4, 1, 1, PIXELS, 15),
    ("gray.channels=3.store=1", 4, 340 / 256, 1, PIXELS, 8),
    ("tiles", 4, 1, 1, PIXELS, 2 + 16 / 256 + 2 / 16),
    ("measure", 4, 1, 1, 1024 * 1024, 2),
    ("ecc", 1, 4, 6, 768 * 256, 6),
    (ADDCOMP, 1, 1, 3, PIXELS, 10),
]
print(f"Derived, nothing ran on a Pi: {WIDTH}x{HEIGHT}, 8-bit colour, fixed-point dark, `addcomp`. Instructions a pixel =")
print("(static count - loop bodies + loop bodies x how often they run) / pixels a thread, every branch counted as taken; ms =")
print("calls x the larger of pixels x instructions / rate and pixels x bytes / bandwidth. " + "; ".join(
    f"{CHIPS[c]}: {r[0] / 1e9:g} x 10^9 instructions/s, {r[1] / 1e9:g} GB/s" for c, r in RATE.items()) + ".\n")
print("| kernel | calls | Mpix a call | bytes a pixel | Pi 4: instructions a pixel, ms | Pi 5: instructions a pixel, ms |")
print("|---|---|---|---|---|---|")
total = {c: 0.0 for c in CHIPS}
for name, each, trips, calls, pixels, size in FRAME:
    cells = []
    for chip in ("42", "71"):
        count, _, _, loops = figures[name][chip]
        body = sum(loops)
        executed = (count - body + body * trips) / each
        rate, bandwidth = RATE[chip]
        ms = 1e3 * calls * pixels * max(executed / rate, size / bandwidth)
        total[chip] += ms
        cells.append(f"{executed:.0f}, {ms:.0f}")
    print(f"| {name.split('.')[0]} | {calls} | {pixels / 1e6:.3g} | {size:.3g} | {cells[0]} | {cells[1]} |")
print(f"| sum | | | | {total['42']:.0f} ms | {total['71']:.0f} ms |")
