"""Square tiles of large scenes, and which objects belong to which of them.

The windows, the objects they keep and the names of the tiles are those of DOTA's usual
preparation: BboxToolkit (https://github.com/jbwang1997/BboxToolkit), and MMYOLO's and
MMRotate's tools after it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, product
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import shapely
from PIL import Image

from ..errors import InputError
from ..images import read_image
from .png import compress_rows, encode_png, join_strips, read_png

# A window of this share of image or less is left out, if the scene has a better one.
MIN_IMAGE_SHARE = 0.6
# An object belongs to the windows that hold at least this share of it.
MIN_OBJECT_SHARE = 0.7
# RGB; the mean colour that most backbones subtract.
PADDING = (124, 116, 104)


class Window(NamedTuple):
    """A square of `size` px of the scene at (x, y), a tile once it is rescaled."""

    x: int
    y: int
    size: int
    rate: float


@dataclass(frozen=True)
class Tiling:
    """How scenes are cut.

    Args:
        patch (int): Side of a tile in px.
        gap (int): What neighbouring tiles share, in px of the tile.
        rates (Sequence[float]): Factors that the scene is scaled by before it is cut.

    Raises:
        InputError: If nothing can be cut that way.
    """

    patch: int = 1024
    gap: int = 200
    rates: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        if not 0 <= self.gap < self.patch:
            raise InputError(
                f'a gap of {self.gap} px does not go with a patch of {self.patch} px: '
                f'0 <= gap < patch.'
            )
        if not self.rates or not all(
            math.isfinite(rate) and 0 < rate <= self.patch for rate in self.rates
        ):
            raise InputError(f'rates are above 0, not {list(self.rates)}.')
        sizes = [self._size(rate) for rate in self.rates]
        if len(set(sizes)) < len(sizes):
            raise InputError(
                f'two of the rates {list(self.rates)} give windows of the same size, '
                f'{sizes} px. Leave one of them out.'
            )
        if not all(map(self._step, self.rates)):
            raise InputError(
                f'windows of {sizes} px do not move on with a gap of {self.gap} px of '
                f'a patch of {self.patch}. Lower the rates or the gap.'
            )

    def windows(self, width: int, height: int) -> list[Window]:
        """List the windows of a scene: by rate, then column, then row.

        The last window of a row or column is shifted back to the border. All windows
        of one rate hold the same share of image. Rates at which it is 0.6 or less are
        left out; if that were all of them, the best remains.

        Args:
            width (int): Of the scene, in px.
            height (int): Of the scene, in px.
        """
        sizes = {rate: self._size(rate) for rate in self.rates}
        shares = {
            rate: min(width, size) * min(height, size) / size**2
            for rate, size in sizes.items()
        }
        best = max(shares.values())
        # The reference's tolerance for rates that are equally good.
        lowest = MIN_IMAGE_SHARE if best > MIN_IMAGE_SHARE else best - 0.01
        return [
            Window(x, y, size, rate)
            for rate, size in sizes.items()
            if shares[rate] > lowest
            for x, y in product(
                self._starts(width, size, rate), self._starts(height, size, rate)
            )
        ]

    def _size(self, rate: float) -> int:
        return int(self.patch / rate)

    def _step(self, rate: float) -> int:
        return self._size(rate) - int(self.gap / rate)

    def _starts(self, length: int, size: int, rate: float) -> list[int]:
        step = self._step(rate)
        count = max(1, math.ceil((length - size) / step + 1))
        starts = [step * index for index in range(count)]
        return [min(start, max(0, length - size)) for start in starts]


def tile_name(scene: str, window: Window) -> str:
    """Name a tile, without suffix, by its scene and its window in the scene."""
    return f'{scene}__{window.size}__{window.x}___{window.y}'


def open_scene(path: Path) -> np.ndarray | Image.Image:
    """Decode a scene of any size in little memory.

    PNG files of 8 bits become arrays. Other images of 8 bits stay as Pillow holds them,
    1 or 4 bytes a pixel. What is left is read as `read_image` does.

    Args:
        path (Path): The file.

    Returns:
        np.ndarray | Image.Image: Shape (height, width, 3 or 1), RGB or grey; or of mode
            L, RGB or RGBA.

    Raises:
        InputError: If it is missing, broken or not an image.
    """
    try:
        if (pixels := read_png(path)) is not None:
            return pixels
        with Image.open(path) as image:
            deep = any(';16' in str(tile[3]) for tile in image.tile)
            if image.mode in ('L', 'RGB', 'RGBA') and not deep:
                image.load()
                return image
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f'{path} is missing or broken: {error}. Download or export it again.'
        ) from None
    pixels = read_image(path)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)


def cut(
    scene: np.ndarray | Image.Image, x: int, y: int, width: int, height: int
) -> np.ndarray:
    """Cut a part of a scene, padded on the right and at the bottom if it ends before.

    Args:
        scene (np.ndarray | Image.Image): From `open_scene`.
        x (int): Left, in px.
        y (int): Top, in px.
        width (int): Of the part, in px.
        height (int): Of the part, in px.

    Returns:
        np.ndarray: RGB, shape (height, width, 3); it may be a view of the scene.
    """
    if isinstance(scene, Image.Image):
        right, bottom = min(x + width, scene.width), min(y + height, scene.height)
        part = np.asarray(scene.crop((x, y, right, bottom)).convert('RGB'))
    else:
        part = scene[y : y + height, x : x + width]
        if part.shape[2] == 1:
            part = part.repeat(3, axis=2)
    below, right = height - part.shape[0], width - part.shape[1]
    if not (below or right):
        return part
    return cv2.copyMakeBorder(
        part, 0, below, 0, right, cv2.BORDER_CONSTANT, value=PADDING
    )


def cut_tile(scene: np.ndarray | Image.Image, window: Window, patch: int) -> np.ndarray:
    """Cut one tile, padded where the scene is smaller than the window.

    Args:
        scene (np.ndarray | Image.Image): From `open_scene`.
        window (Window): The part of it.
        patch (int): Side of the tile in px.

    Returns:
        np.ndarray: RGB, shape (patch, patch, 3); it may be a view of the scene.
    """
    x, y, size, _ = window
    tile = cut(scene, x, y, size, size)
    if size == patch:
        return tile
    return cv2.resize(
        tile,
        (patch, patch),
        interpolation=cv2.INTER_AREA if size > patch else cv2.INTER_LINEAR,
    )


def png_tiles(
    scene: np.ndarray | Image.Image, windows: Sequence[Window], patch: int
) -> Iterator[bytes]:
    """Cut tiles and encode them as PNG, without loss.

    Rows that windows of one column share are compressed once: a fifth of all, in a
    scene of 4000 px.

    Args:
        scene (np.ndarray | Image.Image): From `open_scene`.
        windows (Sequence[Window]): In the order of `Tiling.windows`.
        patch (int): Side of the tiles in px.
    """
    for (x, size), column in groupby(windows, lambda window: (window.x, window.size)):
        if size != patch:
            for window in column:
                yield encode_png(cut_tile(scene, window, patch))
            continue
        tops = [window.y for window in column]
        borders = sorted({*tops, *(top + size for top in tops)})
        strips = {
            top: compress_rows(cut(scene, x, top, size, bottom - top))
            for top, bottom in pairwise(borders)
        }
        for top in tops:
            within = [strips[y] for y in borders if top <= y < top + size]
            yield join_strips(size, size, within)


def jpg_tiles(
    scene: np.ndarray | Image.Image, windows: Sequence[Window], patch: int
) -> Iterator[bytes]:
    """Cut tiles and encode them as JPEG of quality 95.

    Args:
        scene (np.ndarray | Image.Image): From `open_scene`.
        windows (Sequence[Window]): Their windows.
        patch (int): Side of the tiles in px.
    """
    options = (cv2.IMWRITE_JPEG_QUALITY, 95)
    for window in windows:
        tile = cv2.cvtColor(cut_tile(scene, window, patch), cv2.COLOR_RGB2BGR)
        yield cv2.imencode('.jpg', tile, options)[1].tobytes()


def objects_in_windows(
    polygons: np.ndarray, windows: Sequence[Window]
) -> Iterator[np.ndarray]:
    """Find the objects that belong to each window.

    Those are the objects with 70 % of their polygon's area or more in it. Only polygons
    that cross the border of the window are intersected. One that intersects itself is
    taken as its convex hull.

    Args:
        polygons (np.ndarray): Corners x1 y1 ... x4 y4 in px, shape (n, 8).
        windows (Sequence[Window]): The windows.

    Yields:
        np.ndarray: Indices of objects, ascending, a window each.
    """
    corners = polygons.reshape(-1, 4, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    shapes = shapely.polygons(corners)
    crooked = ~shapely.is_valid(shapes)
    shapes[crooked] = shapely.convex_hull(shapes[crooked])
    areas = shapely.area(shapes)
    for x, y, size, _ in windows:
        start, stop = np.array([x, y]), np.array([x + size, y + size])
        kept = ((low >= start) & (high <= stop)).all(axis=1)
        meets = ((low < stop) & (high > start)).all(axis=1)
        (crossing,) = np.nonzero(meets & ~kept)
        inside = shapely.intersection(shapes[crossing], shapely.box(*start, *stop))
        kept[crossing] = shapely.area(inside) >= MIN_OBJECT_SHARE * areas[crossing]
        yield np.flatnonzero(kept)
