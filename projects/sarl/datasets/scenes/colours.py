"""Colours by name, and how they vary. All are BGR, 0 to 255."""

import numpy as np
from numpy.random import Generator

COLOURS = {
    'white': (235, 238, 240),
    'silver': (185, 185, 182),
    'grey': (115, 112, 110),
    'black': (38, 38, 38),
    'beige': (160, 190, 205),
    'brown': (60, 85, 120),
    'red': (45, 45, 175),
    'orange': (50, 110, 215),
    'yellow': (60, 190, 220),
    'green': (70, 120, 60),
    'blue': (170, 95, 45),
    'azure': (190, 130, 60),
    'navy': (95, 55, 30),
    # water
    'turquoise': (200, 185, 70),
    'aqua': (215, 205, 120),
    'deep': (180, 125, 30),
    'foam': (225, 228, 222),
    # plants
    'olive': (55, 100, 85),
    'leaf': (55, 115, 75),
    'pine': (45, 70, 45),
    'sage': (95, 130, 125),
    # what people build with
    'glass': (55, 48, 42),
    'mark': (205, 212, 214),
    'asphalt': (96, 94, 92),
    'brick': (75, 95, 150),
    'clay': (70, 75, 110),
    'slate': (95, 95, 90),
    'tar': (70, 66, 62),
    'lead': (85, 80, 84),
    'rust': (120, 140, 165),
    'teak': (110, 150, 180),
}


def tinted(rng: Generator, colour, spread: float = 14.0) -> np.ndarray:
    """`colour` with a random change of brightness and a smaller one of hue."""
    change = rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    return np.clip(np.asarray(colour, float) + change, 4, 250)


def one_of(rng: Generator, names: str, spread: float = 14.0) -> np.ndarray:
    """One of the named colours, tinted; a name given twice is twice as likely."""
    return tinted(rng, rng.choice([COLOURS[name] for name in names.split()]), spread)
