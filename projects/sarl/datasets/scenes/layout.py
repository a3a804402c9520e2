"""Which kinds of area there are, and how they share a scene."""

import numpy as np
from numpy.random import Generator

from . import blocks, strips
from .areas import Area, Frame, Kind
from .grounds import asphalt, concrete, crops, forest, grass, sand, soil, water

BLOCKS = (
    Kind(0.12, (asphalt, asphalt, concrete), blocks.parking),
    Kind(0.11, (water,), blocks.harbour),
    Kind(0.13, (concrete, asphalt, grass), blocks.airport),
    Kind(0.12, (concrete, sand, soil, grass), blocks.tank_farm),
    Kind(0.15, (grass,), blocks.homes),
    Kind(0.14, (crops, crops, soil, grass), blocks.wind_park),
    Kind(0.12, (concrete, sand, sand, grass), blocks.plaza),
    Kind(0.08, (soil, sand, concrete), blocks.works),
    Kind(0.55, (forest, grass, crops, soil), blocks.wild),
)
STRIPS = (
    Kind(0.45, (asphalt,), strips.road, widths=(13, 20)),
    Kind(0.3, (water,), strips.river, widths=(9, 30)),
    Kind(0.25, (soil, sand, concrete), strips.path, widths=(4, 6)),
)


def choose(rng: Generator, kinds: tuple[Kind, ...]) -> Kind:
    weights = np.array([kind.weight for kind in kinds])
    return kinds[rng.choice(len(kinds), p=weights / weights.sum())]


def lay_out(rng: Generator, size: int) -> list[Area]:
    """Split the grid into blocks by strips; what lies lowest comes first."""
    frame = Frame(rng, size)
    inner, between = [], []

    def split(low, high, depth):
        centre, sides = (low + high) / 2, high - low
        if depth == 0 or sides.max() < 0.35 * size:
            inner.append(Area(choose(rng, BLOCKS), frame, centre, *sides))
            return
        axis = int(sides[1] > sides[0])
        kind = choose(rng, STRIPS)
        gap = rng.uniform(*kind.widths)
        cut = low[axis] + rng.uniform(0.38, 0.62) * sides[axis]
        left, right, middle = high.copy(), low.copy(), centre.copy()
        left[axis], right[axis], middle[axis] = cut - gap / 2, cut + gap / 2, cut
        split(low, left, depth - 1)
        split(right, high, depth - 1)
        between.append(Area(kind, frame, middle, sides[1 - axis], gap, axis == 0))

    half = np.full(2, 0.74 * size)
    split(-half, half, 3)
    return inner + between
