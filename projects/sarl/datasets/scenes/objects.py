"""The objects that get boxes: one function for each of AI-TOD's classes.

Lengths are in px; `scale` is that of the scene, about 1.
"""

import numpy as np
from numpy.random import Generator

from .colours import COLOURS, one_of
from .shapes import Shape, disc, oblong, rotation, rounded, sized


def airplane(rng: Generator, scale: float) -> Shape:
    length = sized(rng, 22 * scale, 0.32, 9, 46)
    paint = one_of(rng, 'white white silver grey', 10)
    sweep = rng.choice([0.02, 0.2, 0.28])
    reach, chord = rng.uniform(0.4, 0.52), rng.uniform(0.1, 0.16)

    def wings(root, reach, chord):
        tip = root - sweep * reach / 0.45
        right = [(root, 0), (tip, reach), (tip - 0.5 * chord, reach), (root - chord, 0)]
        return np.array(right + [(x, -y) for x, y in right[2:0:-1]]) * length

    fin = oblong(0.16 * length, max(0.03 * length, 0.5), -0.42 * length)
    engine = oblong(0.1 * length, 0.05 * length, 0.06 * length, 0.17 * length)
    parts = [
        (wings(0.16, reach, chord), 0.93 * paint),
        (wings(-0.36, 0.38 * reach, 0.7 * chord), 0.93 * paint),
        (disc(0.5 * length, 0.065 * length), paint),
        (fin, one_of(rng, 'red blue grey')),
        (engine, 0.6 * paint),
        (engine * (1, -1), 0.6 * paint),
    ]
    return Shape(parts, 0.12 * length, 'airplane', floats=True)


def bridge(rng: Generator, scale: float, length: float) -> Shape:
    width = sized(rng, 7 * scale, 0.3, 3.5, 16)
    deck = one_of(rng, 'grey silver beige brown', 10)
    rail = oblong(length, 0.7, y=width / 2 - 0.35)
    parts = [(oblong(length, width), deck)]
    parts += [(side, 1.25 * deck) for side in (rail, -rail)]
    if width > 6:
        parts.append((oblong(length, 0.5), COLOURS['mark']))
    return Shape(parts, 0.3 * width, 'bridge', floats=True)


def storage_tank(rng: Generator, scale: float, diameter: float | None = None) -> Shape:
    radius = (diameter or sized(rng, 14 * scale, 0.32, 5, 34)) / 2
    paint = one_of(rng, 'white white silver beige rust', 10)
    parts = [(disc(radius), 0.8 * paint)]
    if rng.random() < 0.5:
        # a floating roof lies deep: the wall's shadow falls on it as a crescent
        parts.append((disc(0.88 * radius), 0.45 * paint))
        parts.append((disc(0.72 * radius, 0.8 * radius, 0.14 * radius), 0.9 * paint))
    else:
        parts.append((disc(0.9 * radius), paint))
        parts.append((disc(0.12 * radius), 0.7 * paint))
    return Shape(parts, rng.uniform(0.4, 0.9) * radius, 'storage-tank')


def ship(rng: Generator, scale: float) -> Shape:
    length = sized(rng, 20 * scale, 0.42, 8, 48)
    width = max(length * rng.uniform(0.26, 0.38), 2.8)
    a, b = length / 2, width / 2
    half = np.array([(1, 0), (0.55, 0.8), (0.2, 1), (-0.9, 1), (-1, 0.75)]) * (a, b)
    hull = np.concatenate([half, half[:0:-1] * (1, -1)])
    paint = one_of(rng, 'white white white red blue black grey brown')
    deck = one_of(rng, 'white beige teak green silver')
    aft = rng.choice([-0.55, 0.05]) * a
    cabin = oblong(0.22 * length, 0.6 * width, aft), one_of(rng, 'white glass')
    parts = [(hull, paint), (hull * (0.86, 0.7), deck)]
    if length > 24:
        holds = [oblong(0.1 * length, 0.45 * width, x * a) for x in (-0.2, 0.1, 0.4)]
        parts += [(hold, 0.6 * deck) for hold in holds]
    return Shape([*parts, cabin], 0.12 * length, 'ship', swims=True)


def swimming_pool(rng: Generator, scale: float) -> Shape:
    length = sized(rng, 12.5 * scale, 0.3, 5, 28)
    width = length * rng.uniform(0.45, 0.7)
    kidney = [
        disc(0.33 * length, 0.4 * width, -0.17 * length),
        disc(0.3 * length, 0.5 * width, 0.2 * length, 0.12 * width),
    ]
    straight, oval = rounded(length, width, 0.1), disc(length / 2, width / 2)
    outline = ([straight], [oval], kidney)[rng.integers(3)]
    water = one_of(rng, 'turquoise aqua aqua deep', 12)
    rim, inner = one_of(rng, 'white beige silver', 8), 1 - 1.4 / length
    steps = oblong(0.12 * length, 0.4 * width, -0.3 * length)
    parts = [(points, rim) for points in outline]
    parts += [(points * inner, water) for points in outline]
    return Shape([*parts, (steps, 1.12 * water)], category='swimming-pool')


def vehicle(rng: Generator, scale: float) -> Shape:
    length = sized(rng, 12.5 * scale, 0.18, 6, 24)
    width = length * rng.uniform(0.42, 0.52)
    paints = 'white white silver grey black black red blue yellow beige navy'
    paint = one_of(rng, paints)
    glass = COLOURS['glass']
    if rng.random() < 0.14:
        cargo = one_of(rng, 'white silver beige brown green')
        parts = [
            (oblong(1.35 * length, width, -0.25 * length), cargo),
            (oblong(1.35 * length, 0.15 * width, -0.25 * length), 0.9 * cargo),
            (oblong(0.3 * length, 0.92 * width, 0.62 * length), paint),
            (oblong(0.09 * length, 0.8 * width, 0.68 * length), glass),
        ]
        return Shape(parts, 0.3 * length, 'vehicle')
    parts = [
        (rounded(length, width), paint),
        (oblong(0.55 * length, 0.8 * width, -0.07 * length), glass),
        (oblong(0.3 * length, 0.74 * width, -0.08 * length), 1.1 * paint),
    ]
    return Shape(parts, 0.16 * length, 'vehicle')


def person(rng: Generator, scale: float) -> Shape:
    span = sized(rng, 4.8 * scale, 0.28, 2.7, 8)
    cloth = one_of(rng, 'black white red blue yellow grey navy brown orange', 20)
    hair = one_of(rng, 'black brown beige', 10)
    parts = [
        (disc(0.42 * span, 0.5 * span), cloth),
        (disc(0.22 * span, x=0.08 * span), hair),
    ]
    return Shape(parts, rng.uniform(0.8, 1.3) * span, 'person')


def wind_mill(rng: Generator, scale: float) -> Shape:
    radius = sized(rng, 11.5 * scale, 0.28, 6, 23)
    paint = one_of(rng, 'white white silver', 8)
    root, tip = max(0.07 * radius, 0.6), max(0.03 * radius, 0.35)
    blade = np.array([(0, -root), (radius, -tip), (radius, tip), (0, root)])
    foot = -rng.uniform(0.4, 0.9) * radius
    tower = np.array([(0, -0.45), (foot, -0.8), (foot, 0.8), (0, 0.45)])
    first = rng.uniform(0, 2 * np.pi)
    parts = [(tower, 0.88 * paint)]
    for turn in first + np.arange(3) * 2 * np.pi / 3:
        parts.append((blade @ rotation(turn).T, paint))
    parts.append((disc(max(0.1 * radius, 0.9)), 0.85 * paint))
    return Shape(parts, 1.1 * radius, 'wind-mill', floats=True)
