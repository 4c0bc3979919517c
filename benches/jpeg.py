"""zune-jpeg as livestack calls it against libjpeg-turbo, on the same files, alternating in one run.

    python3 benches/jpeg.py APART FOLDER [RUNS]

APART is `cargo build --release --example apart`, FOLDER holds JPEG files. libjpeg-turbo is the one in simplejpeg and in
OpenCV, whichever are installed (pip install simplejpeg opencv-python-headless); simplejpeg decodes into an array that is
used again, as livestack does. Seconds a file, medians over the files and RUNS (5): of the wall, and of the processor, which
says more where the machine is busy.
"""
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

program, folder, runs = sys.argv[1], sys.argv[2], int((sys.argv[3:] or [5])[0])
files = sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in (".jpg", ".jpeg"))
sides = {}


def zune():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([program, "decode", *files], check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [ms / 1e3 for ms in json.loads(out)["decode"]], cpu / len(files)


def here(decode):
    """A decoder of this process; like livestack it reads the files anew."""
    def side():
        wall, start = [], time.process_time()
        for path in files:
            before = time.perf_counter()
            decode(path.read_bytes())
            wall.append(time.perf_counter() - before)
        return wall, (time.process_time() - start) / len(files)
    return side


sides["zune-jpeg"] = zune
try:
    import simplejpeg

    height, width, *_ = simplejpeg.decode_jpeg_header(files[0].read_bytes())
    pixels = np.empty((height, width, 3), np.uint8)
    sides["libjpeg-turbo, simplejpeg"] = here(
        lambda data: simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False, buffer=pixels))
except ImportError:
    pass
try:
    import cv2

    cv2.setNumThreads(1)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    sides["libjpeg-turbo, OpenCV, a new array each time"] = here(
        lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), flags))
except ImportError:
    pass

wall, cpu = {name: [] for name in sides}, {name: [] for name in sides}
for _ in range(runs):
    for name, side in sides.items():
        w, c = side()
        wall[name] += w
        cpu[name].append(c)
print(f"{len(files)} files of {sum(p.stat().st_size for p in files) / len(files) / 1e6:.1f} MB\n")
print("| decoder | wall, s a file | processor, s a file | processor, to zune-jpeg's |\n|---|---|---|---|")
for name in sides:
    print(f"| {name} | {median(wall[name]):.3f} | {median(cpu[name]):.3f} | "
          f"{median(cpu[name]) / median(cpu['zune-jpeg']):.2f} |")
