"""Square tiles of large scenes, and which objects belong to which of them.

The windows, the objects they keep and the names of the tiles are those of DOTA's usual
preparation: BboxToolkit (https://github.com/jbwang1997/BboxToolkit), and MMYOLO's and
MMRotate's tools after it.
"""

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import shapely
from isal import isal_zlib
from PIL import Image

from ..errors import InputError
from ..images import read_image

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


def open_scene(path: Path) -> Image.Image:
    """Decode a scene of any size in little memory.

    Images of 8 bits stay as Pillow holds them, 1 or 4 bytes a pixel, where OpenCV takes
    6. Others are read as `read_image` does.

    Args:
        path (Path): The file.

    Raises:
        InputError: If it is missing, broken or not an image.
    """
    try:
        with Image.open(path) as image:
            deep = any(';16' in str(tile[3]) for tile in image.tile)
            if image.mode in ('L', 'RGB', 'RGBA') and not deep:
                image.load()
                return image
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f'{path} is missing or broken: {error}. Download or export it again.'
        ) from None
    return Image.fromarray(cv2.cvtColor(read_image(path), cv2.COLOR_BGR2RGB))


def cut_tile(image: Image.Image, window: Window, patch: int) -> np.ndarray:
    """Cut one tile; nothing of the scene is copied but the window.

    A scene that is smaller than the window is padded on the right and at the bottom.

    Args:
        image (Image.Image): The scene, of mode L, RGB or RGBA.
        window (Window): The part of it.
        patch (int): Side of the tile in px.

    Returns:
        np.ndarray: RGB, shape (patch, patch, 3).
    """
    x, y, size, _ = window
    part = image.crop((x, y, min(x + size, image.width), min(y + size, image.height)))
    tile = np.asarray(part if part.mode == 'RGB' else part.convert('RGB'))
    below, right = size - tile.shape[0], size - tile.shape[1]
    if below or right:
        tile = cv2.copyMakeBorder(
            tile, 0, below, 0, right, cv2.BORDER_CONSTANT, value=PADDING
        )
    if size == patch:
        return tile
    return cv2.resize(
        tile,
        (patch, patch),
        interpolation=cv2.INTER_AREA if size > patch else cv2.INTER_LINEAR,
    )


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


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image as PNG, for speed.

    Each row is stored as its difference from the one above: one subtraction, where an
    encoder would try all five filters on each row. Level 1 of ISA-L compresses that in
    a third of the time of OpenCV's default, zlib's run lengths, and aerial photographs
    to smaller files.

    Args:
        image (np.ndarray): RGB, 8 bits, shape (height, width, 3).
    """
    height, width, _ = image.shape
    rgb = image.reshape(height, -1)
    rows = np.empty((height, 1 + 3 * width), np.uint8)
    rows[:, 0] = 2
    rows[0, 1:] = rgb[0]
    np.subtract(rgb[1:], rgb[:-1], out=rows[1:, 1:])
    return b''.join(
        (
            b'\x89PNG\r\n\x1a\n',
            _chunk(b'IHDR', struct.pack('>2I5B', width, height, 8, 2, 0, 0, 0)),
            _chunk(b'IDAT', isal_zlib.compress(rows, 1)),
            _chunk(b'IEND', b''),
        )
    )


def encode_jpg(image: np.ndarray) -> bytes:
    """Encode an image as JPEG of quality 95.

    Args:
        image (np.ndarray): RGB, 8 bits, shape (height, width, 3).
    """
    options = (cv2.IMWRITE_JPEG_QUALITY, 95)
    return cv2.imencode('.jpg', image[:, :, ::-1], options)[1].tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', checksum)
