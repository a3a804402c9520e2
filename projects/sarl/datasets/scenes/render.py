"""One scene, from its layout to a photograph."""

import cv2
import numpy as np
from numpy.random import Generator

from .canvas import Canvas
from .grounds import fractal, paint_ground
from .layout import lay_out


def render_scene(
    seed: int, index: int, size: int = 320
) -> tuple[np.ndarray, list[dict]]:
    """Draw a scene; it is the same whatever else is drawn.

    Args:
        seed (int): Of the data set.
        index (int): Which of its scenes.
        size (int): The image's side in px.

    Returns:
        tuple[ndarray, list[dict]]: The image, BGR, uint8 (size, size, 3), and its
            objects: of each the `category` and the `bbox` [x, y, w, h] in px, tight
            about its visible pixels.
    """
    rng = np.random.default_rng([seed, index])
    areas = lay_out(rng, size)
    canvas = Canvas(rng, *paint_ground(rng, size, areas))
    # Strips first: their marks lie flat, under whatever stands in the blocks.
    for area in reversed(areas):
        area.kind.populate(canvas, area)
    image = cv2.resize(canvas.image, (size, size), interpolation=cv2.INTER_AREA)
    return photograph(rng, image), canvas.boxes()


def photograph(rng: Generator, image: np.ndarray) -> np.ndarray:
    """What a sensor sees of uint8 (size, size, 3): haze, light, blur and noise."""
    seen = image.astype(np.float32)
    if rng.random() < 0.35:
        veil = 0.15 + 0.15 * fractal(rng, image.shape[:2], 140, 2)[..., None]
        seen += np.clip(veil, 0, 0.45) * (np.float32([215, 210, 205]) - seen)
    seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 0.8))
    contrast, brightness = rng.uniform(0.75, 1.2), rng.normal(0, 12)
    cast = np.float32(rng.normal(1, 0.04, 3))
    seen = ((seen - 115) * contrast + 115 + brightness) * cast
    grain = rng.standard_normal(seen.shape, dtype=np.float32)
    seen += rng.uniform(1, 5.5) * grain
    return np.clip(seen, 0, 255).astype(np.uint8)
