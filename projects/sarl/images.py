"""Aerial images of any depth and number of channels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from PIL import ExifTags, Image

from .errors import InputError

# Scenes of 20,000 x 20,000 px are usual here, and no attack.
Image.MAX_IMAGE_PIXELS = None
# By any case of the suffix.
SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff')


def find_images(folder: Path) -> list[Path]:
    """List the images of a folder by name.

    Hidden files are left out: macOS leaves `._name.tif` beside its archives.

    Args:
        folder (Path): The folder.

    Raises:
        InputError: If it does not exist or two images differ in their suffix only.
    """
    if not folder.is_dir():
        raise InputError(f'folder {folder} does not exist.')
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith('.')
    )
    by_stem: dict[str, Path] = {}
    for path in paths:
        other = by_stem.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f'{other} and {path} differ in their suffix only. Keep one of them.'
            )
    return paths


def image_size(path: Path) -> tuple[int, int]:
    """Read the width and height of an image in px, without decoding it.

    Args:
        path (Path): The file.

    Raises:
        InputError: If it is missing or not an image.
    """
    with _opened(path) as image:
        return image.size


class Header(NamedTuple):
    """What the header of an image says, and training makes of it.

    Args:
        size (tuple[int, int]): Width and height in px as training loads them: turned
            by the EXIF orientation.
        orientation (int): Of EXIF; 1 is upright.
        bits (int): Of a channel.
    """

    size: tuple[int, int]
    orientation: int
    bits: int


def image_header(path: Path) -> Header:
    """Read the header of an image, without decoding it.

    Args:
        path (Path): The file.

    Raises:
        InputError: If it is missing or not an image.
    """
    with _opened(path) as image:
        orientation = _orientation(image)
        width, height = image.size
        # Pillow has turned the size of a TIFF image already.
        if orientation in (5, 6, 7, 8) and image.format != 'TIFF':
            width, height = height, width
        return Header((width, height), orientation, _bits(image))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f'{path} is not a readable image: {error}.') from None


def _orientation(image: Image.Image) -> int:
    """Tell the orientation that OpenCV goes by.

    Pillow's `getexif` decodes a PNG image for it and falls back on XMP.
    """
    if image.format == 'TIFF':
        return image.tag_v2.get(ExifTags.Base.Orientation, 1)
    exif = Image.Exif()
    try:
        exif.load(image.info.get('exif', b''))
        return exif.get(ExifTags.Base.Orientation, 1)
    except Exception:
        # Broken EXIF data, which OpenCV passes over too.
        return 1


def _bits(image: Image.Image) -> int:
    if image.format == 'TIFF':
        return max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,)))
    return 16 if image.format == 'PNG' and image.tile[0][3].endswith('16B') else 8


def image_problem(path: Path) -> str | None:
    """Tell what is wrong with an image, decoding it only if its end is unusual.

    Args:
        path (Path): The file.

    Returns:
        str | None: What is wrong, None if nothing.
    """
    with path.open('rb') as file:
        head = file.read(8)
        file.seek(max(0, path.stat().st_size - 16))
        tail = file.read()
    if head.startswith(b'\xff\xd8') and tail.rstrip(b'\0').endswith(b'\xff\xd9'):
        return None
    if head.startswith(b'\x89PNG') and b'IEND' in tail:
        return None
    # Another format, or bytes after the end marker: only decoding tells.
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        return f'the image is truncated or broken ({error})'
    return None


def training_problem(path: Path) -> str | None:
    """Tell why training cannot load an image.

    Args:
        path (Path): The file.

    Returns:
        str | None: What is wrong, None if nothing.
    """
    problem = image_problem(path)
    # OpenCV decodes any JPEG and PNG file, but not all others that Pillow does.
    usual = path.suffix.lower() in ('.jpg', '.jpeg', '.png')
    if problem is None and not usual and mmcv.imread(path) is None:
        return 'OpenCV, by which training loads images, does not decode it'
    return problem


def read_image(path: Path) -> np.ndarray:
    """Decode an image to 8-bit BGR, shape (height, width, 3).

    Grey images get three equal channels, a fourth channel (alpha, infrared) is dropped,
    and 16 bits are scaled so that the brightest value of the image becomes 255.

    Args:
        path (Path): The file.

    Raises:
        InputError: If it is missing, truncated or not an image.
    """
    if not path.is_file():
        raise InputError(f'image {path} does not exist.')
    image, problem = None, image_problem(path)
    if problem is None:
        flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imread(str(path), flags)
    if image is None:
        raise InputError(
            f'{path}: {problem or "not a readable image"}. Download or export it again.'
        )
    if image.dtype != np.uint8:
        image = cv2.convertScaleAbs(image, alpha=255 / max(1, float(image.max())))
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(image[:, :, :3]) if image.shape[2] > 3 else image
