"""Where things are: areas of a bent street grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from .shapes import rotation


class Frame:
    """The street grid: turned about the image's centre and gently bent."""

    def __init__(self, rng: Generator, size: int) -> None:
        self.centre = size / 2
        self.turn = rotation(rng.uniform(0, 2 * np.pi))
        self.bend = rng.uniform(0, 0.04, 2) * size
        self.phase = rng.uniform(0, 2 * np.pi, 2)
        self.wave = rng.uniform(0.8, 1.6, 2) * size

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Grid px (..., 2) about the centre to image px (..., 2)."""
        swing = np.sin(2 * np.pi * points / self.wave + self.phase)
        return (points + (self.bend * swing)[..., ::-1]) @ self.turn.T + self.centre


@dataclass
class Kind:
    """A kind of area.

    Args:
        weight (float): How often it is chosen, relative to the others.
        grounds (tuple): Functions of `grounds`, one of which is chosen.
        populate (Callable): Puts on a canvas what stands in an area.
        widths (tuple, optional): Least and largest width in px of a strip.
    """

    weight: float
    grounds: tuple
    populate: Callable
    widths: tuple[float, float] | None = None


@dataclass
class Area:
    """A rectangle of the grid.

    Args:
        kind (Kind): What is there.
        frame (Frame): The grid.
        centre (ndarray): Its centre (2,) in grid px.
        length (float): Its side in px along its own x.
        width (float): Its side in px along its own y.
        quarter (bool): Whether its x runs along the grid's y.
    """

    kind: Kind
    frame: Frame
    centre: np.ndarray
    length: float
    width: float
    quarter: bool = False

    def at(self, x, y) -> np.ndarray:
        """The area's own px (...), (0, 0) its centre, to image px (..., 2)."""
        points = np.empty((*np.broadcast(x, y).shape, 2))
        points[..., int(self.quarter)] = x
        points[..., 1 - self.quarter] = y
        return self.frame.to_image(points + self.centre)

    def heading(self, x: float = 0.0, y: float = 0.0) -> float:
        """Direction of the area's x at its own px (x, y), radians in the image."""
        (x0, y0), (x1, y1) = self.at([x - 0.5, x + 0.5], y)
        return float(np.arctan2(y1 - y0, x1 - x0))

    def strip(self, width: float, y: float = 0.0) -> np.ndarray:
        """Outline (48, 2) in image px of a lane of `width` px along the whole area."""
        along = np.linspace(-self.length / 2, self.length / 2, 24)
        near, far = self.at(along, y - width / 2), self.at(along, y + width / 2)
        return np.concatenate([near, far[::-1]])
