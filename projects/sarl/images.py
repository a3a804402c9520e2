"""Aerial images of any depth and number of channels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

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
        InputError: If it does not exist, may not be read, or two images differ in their
            suffix only.
    """
    paths = [
        path
        for path in list_folder(folder)
        if path.suffix.lower() in SUFFIXES and not path.name.startswith('.')
    ]
    by_stem: dict[str, Path] = {}
    for path in paths:
        other = by_stem.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f'{other} and {path} differ in their suffix only. Keep one of them.'
            )
    return paths


def list_folder(folder: Path) -> list[Path]:
    """List what is in a folder, by name.

    Args:
        folder (Path): The folder.

    Raises:
        InputError: If it does not exist or may not be read.
    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f'folder {folder} does not exist.') from None
    except OSError as error:
        raise InputError(f'folder {folder} cannot be read: {error.strerror}.') from None


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
    except Exception as error:
        # Of any type: Pillow's readers meet broken files with OverflowError,
        # struct.error and more.
        raise InputError(f'{path} is not a readable image: {_reason(error)}.') from None


def _reason(error: Exception) -> str:
    """Tell what an error says but the path, which stands beside it."""
    if isinstance(error, UnidentifiedImageError):
        return 'it is of no known format'
    return getattr(error, 'strerror', None) or str(error) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """Tell the orientation that OpenCV goes by.

    Pillow's `getexif` decodes a PNG image for it and falls back on XMP.
    """
    if image.format == 'TIFF':
        orientation = image.tag_v2.get(ExifTags.Base.Orientation, 1)
    else:
        exif = Image.Exif()
        try:
            exif.load(image.info.get('exif', b''))
            orientation = exif.get(ExifTags.Base.Orientation, 1)
        except Exception:
            # Broken EXIF data, which OpenCV passes over too.
            return 1
    # Of others, such as 0, nothing comes.
    return orientation if orientation in range(1, 9) else 1


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
    return _examine(path)[0]


def _examine(path: Path) -> tuple[str | None, bool]:
    """Tell what is wrong with an image, and whether it is a JPEG or PNG file."""
    try:
        with path.open('rb') as file:
            head = file.read(8)
            file.seek(max(0, path.stat().st_size - 16))
            tail = file.read()
    except OSError as error:
        return f'the image cannot be read ({error.strerror})', False
    jpeg, png = head.startswith(b'\xff\xd8'), head.startswith(b'\x89PNG')
    jpeg_ends = jpeg and tail.rstrip(b'\0').endswith(b'\xff\xd9')
    if jpeg_ends or (png and b'IEND' in tail):
        return None, True
    # Another format, or bytes after the end marker: only decoding tells.
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:
        # Of any type, as above.
        return f'the image is truncated or broken ({_reason(error)})', jpeg or png
    return None, jpeg or png


def training_problem(path: Path) -> str | None:
    """Tell why training cannot load an image.

    Args:
        path (Path): The file.

    Returns:
        str | None: What is wrong, None if nothing.
    """
    problem, usual = _examine(path)
    # OpenCV decodes any JPEG and PNG file, but not all others that Pillow does.
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
