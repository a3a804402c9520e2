"""COCO-format files, read strictly: what is wrong is said, not skipped.

pycocotools and MMDetection pass over most mistakes in an annotation file, which
then show up as an AP of zero. `StrictCOCO` stops at them instead, with an error
that names the file, the item and the mend.
"""

import contextlib
import io
import json
import logging
import math
from collections.abc import Iterator, Sequence
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log
from PIL import Image

from ..errors import InputError

# Labelling tools round to whole pixels: a box may stick out by this much (px).
OUTSIDE_TOLERANCE = 1.0


class StrictCOCO(COCO):
    """An index of a checked COCO-format file.

    Missing `area` (w * h), `iscrowd` (0) are filled in.

    Args:
        annotation_file (str | Path): The JSON file.
        bad_boxes (str): 'error' stops at boxes that have no area or leave their
            image by more than 1 px; 'clip' clips them to the image, drops those
            that nothing is left of, and logs how many.

    Raises:
        InputError: If the file is missing or malformed, or holds a bad box.
    """

    def __init__(self, annotation_file: str | Path, bad_boxes: str = 'error') -> None:
        if bad_boxes not in ('error', 'clip'):
            raise InputError(f"bad_boxes is 'error' or 'clip', not {bad_boxes!r}")
        super().__init__()
        self.path = Path(annotation_file)
        self.dataset = _read_json(self.path)
        _check_tables(self.dataset, self.path)
        self.dataset['annotations'] = list(
            _checked_annotations(self.dataset, self.path, bad_boxes)
        )
        with contextlib.redirect_stdout(io.StringIO()):
            self.createIndex()
        self.img_ann_map = self.imgToAnns
        self.cat_img_map = self.catToImgs

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the categories, in order of their ids."""
        return tuple(self.cats[cat_id]['name'] for cat_id in sorted(self.cats))

    def get_cat_ids(self, cat_names: Sequence[str] = (), **_) -> list[int]:
        """Find categories by name.

        pycocotools returns them in the order of the file, whatever the order of
        the names: labels then mean another class than the one they are named for.

        Args:
            cat_names (Sequence[str]): Class names; all of the file's if empty.

        Returns:
            list[int]: Category ids in the order of `cat_names`.

        Raises:
            InputError: If the file lacks one of the names.
        """
        ids = {category['name']: cat_id for cat_id, category in self.cats.items()}
        cat_names = cat_names or self.classes
        missing = [name for name in cat_names if name not in ids]
        if missing:
            raise InputError(
                f'{self.path}: the classes do not match the categories of the file.\n'
                f'  classes:  {list(cat_names)}\n'
                f'  file:     {list(self.classes)}\n'
                f'  missing in the file: {missing}; only in the file: '
                f'{[name for name in self.classes if name not in cat_names]}\n'
                f'  Set metainfo=dict(classes=...) of the dataset to names of the file.'
            )
        return [ids[name] for name in cat_names]

    def check_images(self, folder: str | Path) -> None:
        """Make sure that every image is there and whole, without decoding it.

        Args:
            folder (str | Path): The folder that `file_name` is relative to.

        Raises:
            InputError: If an image is missing or truncated.
        """
        paths = [Path(folder) / image['file_name'] for image in self.imgs.values()]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise InputError(
                f'{len(missing)} of {len(paths)} images of {self.path} are missing, '
                f'first {missing[0]}. Set data_prefix=dict(img=...) to the folder that '
                f'file_name is relative to, or complete the download.'
            )
        for path in paths:
            problem = _image_problem(path)
            if problem:
                raise InputError(
                    f'{path}: {problem}. Download or export this image again, or '
                    f'take it out of {self.path}.'
                )


def _read_json(path: Path) -> dict:
    try:
        with path.open(encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        raise InputError(
            f'annotation file {path} does not exist. Check data_root and ann_file.'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'annotation file {path} cannot be read: {error}') from None
    except json.JSONDecodeError as error:
        raise InputError(
            f'annotation file {path} is not valid JSON (line {error.lineno}, column '
            f'{error.colno}: {error.msg}). Was its download or export cut short?'
        ) from None


_TABLES = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox'),
    'categories': ('id', 'name'),
}


def _check_tables(data: dict, path: Path) -> None:
    for table, fields in _TABLES.items():
        rows = data.get(table) if isinstance(data, dict) else None
        if not isinstance(rows, list):
            raise InputError(
                f'{path} is not a COCO detection file: it has no list "{table}".'
            )
        seen = set()
        for index, row in enumerate(rows):
            lacking = [field for field in fields if field not in row]
            if lacking:
                raise InputError(f'{path}: {table}[{index}] lacks {lacking}.')
            if row['id'] in seen:
                raise InputError(
                    f'{path}: two {table} have the id {row["id"]!r}. Number them anew.'
                )
            seen.add(row['id'])
    if not data['images']:
        raise InputError(f'{path} lists no images.')
    names = [category['name'] for category in data['categories']]
    if len(set(names)) < len(names):
        raise InputError(f'{path}: two categories have the same name: {names}.')
    for image in data['images']:
        if not (image['width'] > 0 and image['height'] > 0):
            raise InputError(
                f'{path}: image {image["file_name"]} is said to have '
                f'{image["width"]} x {image["height"]} px.'
            )


def _checked_annotations(data: dict, path: Path, bad_boxes: str) -> Iterator[dict]:
    images = {image['id']: image for image in data['images']}
    categories = {category['id'] for category in data['categories']}
    clipped = dropped = 0
    for annotation in data['annotations']:
        item = f'{path}: annotation {annotation["id"]!r}'
        image = images.get(annotation['image_id'])
        if image is None:
            raise InputError(
                f'{item} belongs to image {annotation["image_id"]!r}, which the file '
                f'does not list.'
            )
        if annotation['category_id'] not in categories:
            raise InputError(
                f'{item} has category {annotation["category_id"]!r}, which the file '
                f'does not list.'
            )
        problem = _box_problem(annotation, image)
        if problem is not None:
            if bad_boxes == 'error' or not problem.mendable:
                mend = ", or set bad_boxes='clip'" if problem.mendable else ''
                raise InputError(
                    f'{item} of image {image["file_name"]}: box {annotation["bbox"]} '
                    f'{problem.text}. Correct the file{mend}.'
                )
            annotation = _clipped(annotation, image)
            clipped += annotation is not None
            dropped += annotation is None
            if annotation is None:
                continue
        annotation.setdefault('area', annotation['bbox'][2] * annotation['bbox'][3])
        annotation.setdefault('iscrowd', 0)
        yield annotation
    if clipped or dropped:
        print_log(
            f'{path}: clipped {clipped} boxes to their images and dropped {dropped} '
            f'that nothing was left of',
            'current',
            logging.WARNING,
        )


class _BoxProblem(NamedTuple):
    text: str
    mendable: bool = True


def _box_problem(annotation: dict, image: dict) -> _BoxProblem | None:
    box = annotation['bbox']
    if len(box) != 4 or not all(isinstance(value, Real) for value in box):
        return _BoxProblem('is not [x, y, width, height] in px', mendable=False)
    if not all(map(math.isfinite, box)):
        return _BoxProblem('is not finite', mendable=False)
    x, y, w, h = box
    if w <= 0 or h <= 0:
        return _BoxProblem('has no area')
    if not annotation.get('area', w * h) > 0:
        return _BoxProblem(f'has the area {annotation["area"]} px^2')
    outside = max(-x, -y, x + w - image['width'], y + h - image['height'])
    if outside > OUTSIDE_TOLERANCE:
        return _BoxProblem(
            f'leaves the image of {image["width"]} x {image["height"]} px by '
            f'{outside:g} px'
        )
    return None


def _clipped(annotation: dict, image: dict) -> dict | None:
    x, y, w, h = annotation['bbox']
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + w, image['width']), min(y + h, image['height'])
    if w <= 0 or h <= 0 or right <= left or bottom <= top:
        return None
    box = [left, top, right - left, bottom - top]
    # The old area belongs to the old box.
    return {**annotation, 'bbox': box, 'area': box[2] * box[3]}


def _image_problem(path: Path) -> str | None:
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
