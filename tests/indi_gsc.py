#!/usr/bin/env python3
"""A stand-in for `gsc`, the Guide Star Catalog's command that INDI's camera simulator takes its stars from.

    gsc -c RA DEC -r RADIUS -m BRIGHTEST FAINTEST -n MOST      degrees, arc minutes, magnitudes

prints one star a line, twelve columns as the simulator reads them: id, ra, dec, position error, magnitude and its
error, band, class, plate, multiplicity, distance, direction. The stars are the same for the same cell of sky, whatever
is asked: each cell seeds its own list, so that a field that drifts keeps its stars.
"""
import math
import random
import sys

CELL_DEG = 0.25
CELLS_AROUND = round(360 / CELL_DEG)
STARS_A_CELL = 20
FAINTEST = 11.5
BRIGHTEST = 4.0
SEED = 20260101


def cell(i, j):
    """Stars of one cell, most of them faint: ra, dec, magnitude."""
    seeded = random.Random(SEED + i % CELLS_AROUND * 100_003 + j)
    for _ in range(STARS_A_CELL):
        ra, dec = (i + seeded.random()) * CELL_DEG, (j + seeded.random()) * CELL_DEG
        # Three times as many stars a magnitude.
        yield ra, dec, max(BRIGHTEST, FAINTEST + math.log(1 - seeded.random()) / math.log(3))


def main(words):
    number = {words[n]: words[n + 1:n + 3] for n in range(len(words)) if words[n] in ("-c", "-r", "-m", "-n")}
    ra, dec = map(float, number["-c"])
    radius = float(number["-r"][0]) / 60
    width = radius / max(math.cos(math.radians(dec)), 0.01)
    faintest = float(number["-m"][1])
    most, printed = int(number["-n"][0]), 0
    for i in range(math.floor((ra - width) / CELL_DEG), math.floor((ra + width) / CELL_DEG) + 1):
        for j in range(math.floor((dec - radius) / CELL_DEG), math.floor((dec + radius) / CELL_DEG) + 1):
            for star_ra, star_dec, mag in cell(i, j):
                if mag > faintest or printed == most:
                    continue
                printed += 1
                print(f"S{printed:08} {star_ra % 360:10.6f} {star_dec:+10.6f} 0.2 {mag:5.2f} 0.30 1 0 0ABC F 1.00 0")


main(sys.argv[1:])
