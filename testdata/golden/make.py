#!/usr/bin/env python3
"""Draw the frames of the golden tests: level8/, level16/ (every branch of the rules), aligned8/, aligned16/ (motion).

    pip install numpy==2.4.6 'opencv-python-headless==5.0.*'
    python3 testdata/golden/make.py

Only frames come from here; what they must become is written by seed_reference.py (see README.md).
"""
import os
import numpy as np
import cv2

HERE = os.path.dirname(os.path.abspath(__file__))


def save(path, levels, dtype):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    cv2.imwrite(path, levels.astype(dtype), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def branches(folder, white, dtype, seed):
    """Five lights and four darks, 41x29, in which each branch of each rule is taken many times."""
    rng = np.random.default_rng(seed)
    shape, unit = (29, 41, 3), white / 255
    kind = rng.integers(0, 6, shape)
    dark_base = rng.integers(4, 14, shape)
    hot = rng.random(shape) < 0.04
    darks = []
    for _ in range(4):
        # Near each other, so that d > m, d == m and d < m all happen.
        d = (dark_base + rng.integers(-3, 4, shape)) * unit + (rng.integers(0, max(1, int(unit)), shape) if unit > 1 else 0)
        d = np.where(hot, rng.integers(40, 251, shape) * unit, d)
        # At least 1: the calibrated maximum stays under white, so that addmax2 differs from addmax.
        darks.append(np.clip(d, unit, white))
    first = None
    for k in range(5):
        full = rng.integers(0, white + 1, shape)
        dim = rng.integers(0, int(30 * unit) + 1, shape)
        light = np.select(
            [
                kind == 0,  # dim: sums stay under white, some under the dark
                kind == 1,  # anything
                kind == 2,  # saturated or black
                kind == 3,  # a dark's own value: i == m, or nearly
                kind == 4,  # bright: sums pass white
            ],
            [dim, full, np.where(full > white // 2, white, 0), darks[k % 4], white - dim],
            0 if first is None else white - first,  # s + i == white in the second frame, to the sample
        )
        light = np.where(rng.random(shape) < 0.05, 0, light)
        light = np.where(kind == 5, [full, white - first if first is not None else 0, dim, dim, full][k], light)
        light = np.floor(np.clip(light, 0, white))
        first = light if first is None else first
        save(f"{HERE}/{folder}/input/light_{k + 1}.png", light, dtype)
    for k, d in enumerate(darks):
        save(f"{HERE}/{folder}/dark/dark_{k + 1}.png", np.floor(d), dtype)


def moving(folder, white, dtype, seed, grain):
    """Four frames, 128x96, of one star field that drifts by 1 to 2 px a frame and turns a little."""
    rng = np.random.default_rng(seed)
    w, h, stars = 128, 96, 55
    x, y = rng.uniform(-8, w + 8, stars), rng.uniform(-8, h + 8, stars)
    peak = rng.uniform(40, 200, stars)
    tint = rng.uniform(0.6, 1.0, (stars, 3))
    yy, xx = np.mgrid[0:h, 0:w].astype(float)
    centre = np.array([(w - 1) / 2, (h - 1) / 2])
    for k in range(4):
        t = np.deg2rad(0.12 * k)
        turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        places = (np.c_[x, y] - centre) @ turn.T + centre + np.array([1.37, -0.83]) * k
        light = np.full((h, w, 3), 14.0)
        for (px, py), m, c in zip(places, peak, tint):
            light += (m * np.exp(-((xx - px) ** 2 + (yy - py) ** 2) / (2 * 1.5**2)))[..., None] * c
        light += rng.normal(0, 0.8, light.shape)
        levels = np.clip(np.round(light * white / 255 / grain) * grain, 0, white)
        save(f"{HERE}/{folder}/input/light_{k + 1}.png", levels, dtype)


branches("level8", 255, np.uint8, 8)
branches("level16", 65535, np.uint16, 16)
moving("aligned8", 255, np.uint8, 81, 1)
# Sixteen bits in steps of 193 levels: the files stay small, and few samples are whole 8-bit levels.
moving("aligned16", 65535, np.uint16, 161, 193)
