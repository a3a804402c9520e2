"""What the ground looks like: textures, float32 (height, width, 3) in BGR."""

import cv2
import numpy as np
from numpy.random import Generator

from .areas import Area
from .colours import COLOURS, tinted
from .raster import around, clipped, filled

TURF = (62, 108, 92)


def fractal(
    rng: Generator,
    shape: tuple[int, int],
    cell: float,
    octaves: int = 3,
    roughness: float = 0.55,
) -> np.ndarray:
    """Smooth random field (height, width), about N(0, 1), of `cell` px and finer."""
    height, width = shape
    field, variance = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        knots = [max(int(side * 2**octave / cell), 2) + 1 for side in shape]
        grid = roughness**octave * rng.standard_normal(knots, dtype=np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        # interpolation leaves about 0.7 of the knots' variance
        variance += 0.7 * roughness ** (2 * octave)
    field /= np.sqrt(variance)
    return field


def stripes(rng: Generator, shape: tuple[int, int], period: float) -> np.ndarray:
    """Waves (height, width) in [-1, 1], `period` px apart in a random direction."""
    turn = rng.uniform(0, np.pi)
    y, x = (np.arange(side, dtype=np.float32) * 2 * np.pi / period for side in shape)
    x, y = x * np.float32(np.cos(turn)), y * np.float32(np.sin(turn))
    return np.sin(x + y[:, None])


def lit(rng: Generator, colour, light: np.ndarray) -> np.ndarray:
    """`colour`, tinted, times 1 + `light` (height, width) %."""
    base = tinted(rng, colour, 9).tolist()
    return cv2.merge([channel * (1 + light / 100) for channel in base])


def grass(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    dry = fractal(rng, shape, 70)[..., None] * np.float32([2, 5, 9])
    return lit(rng, TURF, 8 * fractal(rng, shape, 9)) + dry


def crops(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    furrows = stripes(rng, shape, rng.uniform(3.5, 8)) * rng.uniform(4, 11)
    colours = [(60, 115, 95), (75, 130, 140), (70, 100, 115), (65, 140, 150)]
    return lit(rng, rng.choice(colours), furrows + 6 * fractal(rng, shape, 40))


def forest(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    return lit(rng, (48, 78, 58), 18 * np.abs(fractal(rng, shape, 14)) - 22)


def soil(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    return lit(rng, (85, 115, 145), 11 * fractal(rng, shape, 30, 4, 0.7))


def sand(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    ripples = 3 * stripes(rng, shape, rng.uniform(5, 9))
    return lit(rng, (140, 175, 195), ripples + 7 * fractal(rng, shape, 50, 4, 0.7))


def asphalt(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    patches = np.round(fractal(rng, shape, 60, 2))
    return lit(rng, COLOURS['asphalt'], 5 * patches + 2 * fractal(rng, shape, 4, 2))


def concrete(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    pitch = rng.integers(11, 24)
    y, x = (np.arange(side) % pitch == 0 for side in shape)
    slabs = np.float32(-12) * (y[:, None] | x)
    return lit(rng, (160, 165, 165), slabs + 5 * fractal(rng, shape, 35, 4, 0.8))


def water(rng: Generator, shape: tuple[int, int]) -> np.ndarray:
    waves = 3 * stripes(rng, shape, rng.uniform(3, 6)) * fractal(rng, shape, 40, 1)
    colours = [(105, 80, 45), (95, 90, 60), (85, 100, 80), (130, 105, 55)]
    return lit(rng, rng.choice(colours), waves + 6 * fractal(rng, shape, 80))


def paint_ground(
    rng: Generator, size: int, areas: list[Area]
) -> tuple[np.ndarray, np.ndarray]:
    """Every area's ground, uint8 (size, size, 3), and where water is, (size, size)."""
    wet = np.zeros((size, size), bool)
    raggedness = 0.1 * fractal(rng, (size, size), 24)
    image = lit(rng, TURF, 80 * raggedness)
    for area in areas:
        texture = rng.choice(area.kind.grounds)
        outline = np.rint(area.strip(area.width)).astype(np.int32)
        window = clipped(around(outline, margin=8), size)
        if window is None:
            continue
        mask = filled([outline], window).astype(np.float32)
        if texture not in (asphalt, concrete):  # only what is paved has straight edges
            mask = cv2.GaussianBlur(mask, (0, 0), 2.5) + raggedness[window]
            mask = np.clip((mask - 0.5) * 6 + 0.5, 0, 1)
        image[window] += (texture(rng, mask.shape) - image[window]) * mask[..., None]
        wet[window] = np.where(mask > 0.5, texture is water, wet[window])
    image *= 1 + rng.uniform(0.01, 0.05) * fractal(rng, (size, size), 2, 1)[..., None]
    return np.clip(image, 0, 255).astype(np.uint8), wet
