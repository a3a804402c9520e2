"""Polygons, and the shapes that are made of them. Lengths are in px."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

CIRCLE = np.array([(np.cos(t), np.sin(t)) for t in np.arange(18) * np.pi / 9])


def rotation(angle: float) -> np.ndarray:
    """Matrix (2, 2) that turns column vectors by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def oblong(length: float, width: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Rectangle about (x, y), points (4, 2)."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    return corners * (length, width) + (x, y)


def rounded(length: float, width: float, cut: float = 0.25) -> np.ndarray:
    """Rectangle whose corners are cut by `cut` of its width, points (8, 2)."""
    a, b, c = length / 2, width / 2, cut * width
    quarter = [(a, b - c), (a - c, b)]
    right = quarter + [(-x, y) for x, y in reversed(quarter)]
    return np.array(right + [(-x, -y) for x, y in right])


def disc(
    rx: float, ry: float | None = None, x: float = 0.0, y: float = 0.0
) -> np.ndarray:
    """Ellipse with radii (rx, ry) about (x, y), points (18, 2)."""
    return CIRCLE * (rx, rx if ry is None else ry) + (x, y)


def blob(rng: Generator, radius: float, rough: float = 0.25) -> np.ndarray:
    """Irregular round outline of about `radius`, points (18, 2)."""
    return disc(radius) * rng.uniform(1 - rough, 1 + rough, (18, 1))


def sized(
    rng: Generator, median: float, sigma: float, low: float, high: float
) -> float:
    """A log-normal length within [low, high]."""
    return float(np.clip(median * np.exp(rng.normal(0, sigma)), low, high))


@dataclass
class Shape:
    """What a thing looks like from above; x points forward.

    Args:
        parts (list): Pairs of points (n, 2) in px and a colour, drawn in order.
        height (float): Its shadow's length in px under a sun at 45 degrees.
        category (str, optional): Its class; None for what is no object.
        floats (bool): Whether it stands on no foot: its shadow is a shifted copy.
        swims (bool): Whether it is left out where its bow or stern would lie on land.
    """

    parts: list
    height: float = 0.0
    category: str | None = None
    floats: bool = False
    swims: bool = False

    def __post_init__(self) -> None:
        points = np.concatenate([points for points, _ in self.parts])
        self.length, self.width = (points.max(0) - points.min(0)).tolist()
        self.radius = max(self.length, self.width) / 2
