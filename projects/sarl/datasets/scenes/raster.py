"""Windows of an array, and masks of the polygons in them."""

from collections.abc import Iterable

import cv2
import numpy as np

Window = tuple[slice, slice]  # rows, columns


def around(points: np.ndarray, margin: int = 0) -> Window:
    """The rectangle about int32 `points` (n, 2), `margin` wider on each side."""
    x, y, width, height = cv2.boundingRect(points)
    rows = slice(y - margin, y + height + margin)
    return rows, slice(x - margin, x + width + margin)


def clipped(window: Window, size: int) -> Window | None:
    """The part of `window` in a (size, size) array; None if there is none."""
    cut = tuple(slice(max(s.start, 0), min(s.stop, size)) for s in window)
    return cut if all(s.start < s.stop for s in cut) else None


def filled(polygons: Iterable[np.ndarray], window: Window) -> np.ndarray:
    """Union of int32 `polygons` (n, 2) as uint8 mask of the window's shape."""
    rows, columns = window
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [polygon], 1, offset=(-columns.start, -rows.start))
    return mask
