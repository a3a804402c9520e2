"""What gets no box. Much of it resembles some class, so that a detector has to look.

Lengths are in px; `scale` is that of the scene, about 1.
"""

import numpy as np
from numpy.random import Generator

from .colours import COLOURS, one_of, tinted
from .shapes import Shape, blob, disc, oblong, sized


def container(rng: Generator, scale: float) -> Shape:
    """Looks like a vehicle, but has ribs and no windows."""
    length = sized(rng, 13 * scale, 0.15, 6, 26)
    width = 0.42 * length
    paint = one_of(rng, 'blue red orange green white grey brown')
    ribs = [oblong(0.05 * length, width, x * length) for x in (-0.3, -0.1, 0.1, 0.3)]
    parts = [(oblong(length, width), paint)] + [(rib, 0.8 * paint) for rib in ribs]
    return Shape(parts, 0.2 * length)


def shed(rng: Generator, scale: float) -> Shape:
    """Looks like a vehicle, but is a gabled roof."""
    return roof(rng, sized(rng, 12 * scale, 0.2, 6, 22), rng.uniform(0.5, 0.75))


def roof(rng: Generator, length: float, ratio: float) -> Shape:
    """A gabled roof, `ratio` times as wide as long."""
    paint = one_of(rng, 'brick clay grey slate brown silver')
    width = ratio * length
    parts = [
        (oblong(length, width), paint),
        (oblong(length, width / 2, y=width / 4), 0.72 * paint),
    ]
    for _ in range(rng.integers(3) if length > 16 else 0):
        spot = rng.uniform(-0.35, 0.35, 2) * (length, width)
        parts.append((oblong(2.2, 1.8, *spot), one_of(rng, 'white grey black')))
    return Shape(parts, 0.22 * width + 1)


def dark_roof(rng: Generator, scale: float) -> Shape:
    """Looks like a ship's hull, but has no bow."""
    length = sized(rng, 22 * scale, 0.3, 10, 44)
    paint = one_of(rng, 'tar lead navy', 8)
    return Shape([(oblong(length, 0.3 * length), paint)], 0.08 * length)


def raft(rng: Generator, scale: float) -> Shape:
    """Looks like a ship, but is a pontoon of planks or a log."""
    length = sized(rng, 12 * scale, 0.3, 5, 26)
    wood = one_of(rng, 'beige brown silver')
    parts = [(oblong(length, rng.uniform(0.2, 0.5) * length), wood)]
    parts.append((oblong(0.06 * length, 0.2 * length), 0.7 * wood))
    return Shape(parts, 0.5, swims=True)


def shrub(rng: Generator, scale: float) -> Shape:
    """Round as a storage tank, but a bush."""
    radius = sized(rng, 5.5 * scale, 0.3, 2.5, 14)
    leaf = one_of(rng, 'olive leaf pine sage')
    light = (blob(rng, 0.6 * radius, 0.15) - 0.2 * radius, 1.18 * leaf)
    return Shape([(blob(rng, radius, 0.08), leaf), light], 0.7 * radius)


def tarp(rng: Generator, scale: float) -> Shape:
    """Blue as a pool, but crooked and without a rim."""
    length = sized(rng, 9 * scale, 0.3, 4, 20)
    cloth = one_of(rng, 'blue azure turquoise', 12)
    sheet = oblong(length, 0.65 * length) + rng.normal(0, 0.09 * length, (4, 2))
    fold = oblong(length * 0.8, 0.6, y=rng.normal(0, 0.1 * length))
    return Shape([(sheet, cloth), (fold, 0.75 * cloth)], 0.6)


def bird(rng: Generator, scale: float) -> Shape:
    """A cross as an airplane, but bent wings and no tailplane; flies high."""
    span = sized(rng, 8 * scale, 0.3, 4, 16)
    feather = one_of(rng, 'white grey black')
    right = np.array([(0.1, 0), (0.2, 0.25), (-0.05, 0.5), (0.05, 0.25), (-0.08, 0)])
    wings = np.concatenate([right, right[::-1] * (1, -1)]) * span
    body = disc(0.2 * span, 0.06 * span)
    return Shape([(wings, feather), (body, feather)], span, floats=True)


def painted_cross(rng: Generator, scale: float) -> Shape:
    """A cross as an airplane, but flat: a mark on the ground."""
    span, width = sized(rng, 11 * scale, 0.3, 5, 24), rng.uniform(0.12, 0.2)
    paint = one_of(rng, 'mark yellow white')
    bar = oblong(span, width * span)
    return Shape([(bar, paint), (bar[:, ::-1], paint)])


def post(rng: Generator, scale: float) -> Shape:
    """Small as a person, but thinner, one colour and with a longer shadow."""
    radius = sized(rng, 0.9 * scale, 0.2, 0.6, 1.8)
    paint = one_of(rng, 'silver grey black white')
    return Shape([(disc(radius), paint)], 7 * radius)


def parasol(rng: Generator, scale: float) -> Shape:
    radius = sized(rng, 2.6 * scale, 0.25, 1.6, 5)
    cloth = one_of(rng, 'red white yellow blue beige')
    return Shape([(disc(radius), cloth), (disc(0.3 * radius), 0.75 * cloth)], radius)


def tree(rng: Generator, scale: float) -> Shape:
    radius = sized(rng, 6.5 * scale, 0.35, 2.5, 15)
    leaf = one_of(rng, 'olive leaf pine')
    parts = [(blob(rng, radius), leaf)]
    for _ in range(4):
        tuft = blob(rng, 0.4 * radius) + rng.normal(0, 0.35 * radius, 2)
        parts.append((tuft, leaf * rng.uniform(0.8, 1.3)))
    return Shape(parts, radius)


def rock(rng: Generator, scale: float) -> Shape:
    radius = sized(rng, 1.8 * scale, 0.45, 0.6, 6)
    stone = one_of(rng, 'grey silver brown beige')
    light = (0.55 * blob(rng, radius) - 0.15 * radius, 1.15 * stone)
    return Shape([(blob(rng, radius, 0.35), stone), light], 0.5 * radius)


def foam(rng: Generator, scale: float) -> Shape:
    streak = oblong(rng.uniform(2, 8), rng.uniform(0.4, 0.9)) * scale
    return Shape([(streak, tinted(rng, COLOURS['foam'], 20))], swims=True)
