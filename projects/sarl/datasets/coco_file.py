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
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
from mmdet.datasets.api_wrappers import COCO
from mmengine.logging import print_log

from ..errors import InputError
from ..images import image_header, training_problem

# Labelling tools round to whole pixels: a box may stick out by this much (px).
OUTSIDE_TOLERANCE = 1.0
BAD_BOXES = ('error', 'clip', 'keep')


class StrictCOCO(COCO):
    """An index of a checked COCO-format file.

    Missing `area` (w * h), `iscrowd` (0) and `annotations` (none) are filled in.

    Args:
        annotation_file (str | Path): The JSON file.
        bad_boxes (str): 'error' stops at boxes that have no area or leave their
            image by more than 1 px; 'clip' clips them to the image, drops those
            that nothing is left of, and logs how many; 'keep' leaves them as they
            are, logs how many, and does without the names and sizes of the images.

    Raises:
        InputError: If the file is missing or malformed, or holds a bad box.
    """

    def __init__(self, annotation_file: str | Path, bad_boxes: str = 'error') -> None:
        if bad_boxes not in BAD_BOXES:
            raise InputError(f'bad_boxes is one of {BAD_BOXES}, not {bad_boxes!r}')
        super().__init__()
        self.path = Path(annotation_file)
        self.dataset = read_json(self.path)
        _check_tables(self.dataset, self.path, sizes_needed=bad_boxes != 'keep')
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
        """Make sure that every image is there, whole and of the size listed.

        JPEG and PNG files are not decoded.

        Args:
            folder (str | Path): The folder that `file_name` is relative to.

        Raises:
            InputError: If an image is missing, truncated, not to be read, of another
                size when training loads it, or not one that training loads.
        """
        images = {Path(folder) / row['file_name']: row for row in self.imgs.values()}
        try:
            missing = [path for path in images if not path.is_file()]
        except OSError as error:
            raise InputError(
                f'image {error.filename} of {self.path} cannot be read: '
                f'{error.strerror}. Correct its file_name, or the permissions of its '
                f'folder.'
            ) from None
        if missing:
            raise InputError(
                f'{len(missing)} of {len(images)} images of {self.path} are missing, '
                f'first {missing[0]}. Set data_prefix=dict(img=...) to the folder that '
                f'file_name is relative to, or complete the download.'
            )
        for path, image in images.items():
            problem = training_problem(path)
            if problem:
                raise InputError(
                    f'{path}: {problem}. Download or export this image again, or '
                    f'take it out of {self.path}.'
                )
            header = image_header(path)
            listed = image.get('width'), image.get('height')
            if None not in listed and header.size != listed:
                turned = (
                    f', turned by its EXIF orientation {header.orientation}'
                    if header.orientation != 1
                    else ''
                )
                raise InputError(
                    f'{path}: training loads {header.size[0]} x {header.size[1]} px'
                    f'{turned}, but {self.path} lists {listed[0]} x {listed[1]}. Label '
                    f'this image as it is loaded, or save it as it was labelled.'
                )


def read_json(path: Path, what: str = 'annotation') -> dict | list:
    """Read a JSON file.

    Args:
        path (Path): The file.
        what (str): What it holds, for the error.

    Raises:
        InputError: If it is missing, unreadable or not JSON.
    """
    try:
        content = path.read_bytes()
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            # The standard library reads NaN, which the caller reports better, and says
            # more exactly where a file is broken.
            return json.loads(content)
    except FileNotFoundError:
        where = (
            '; in a config it is made of data_root and ann_file'
            if what == 'annotation'
            else ''
        )
        raise InputError(
            f'{what} file {path} does not exist. Check the path{where}.'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'{what} file {path} cannot be read: {error}') from None
    except json.JSONDecodeError as error:
        if not path.stat().st_size:
            raise InputError(f'{what} file {path} is empty. Export it again.') from None
        raise InputError(
            f'{what} file {path} is not valid JSON (line {error.lineno}, column '
            f'{error.colno}: {error.msg}). Was its download or export cut short?'
        ) from None


def is_number(value: object) -> bool:
    """Tell whether a value from a JSON file is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_box(value: object) -> bool:
    """Tell whether a value from a JSON file is a list of four numbers."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def is_flag(value: object) -> bool:
    """Tell whether a value from a JSON file is 0, 1, true or false, or null."""
    return value is None or (isinstance(value, int | float) and value in (0, 1))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_TABLES = {
    'images': ('id',),
    'annotations': ('id', 'image_id', 'category_id', 'bbox'),
    'categories': ('id', 'name'),
}
_KINDS = {
    'images': {
        'file_name': (_is_text, 'text'),
        'width': (is_number, 'a number of px'),
        'height': (is_number, 'a number of px'),
    },
    'annotations': {},
    'categories': {'name': (_is_text, 'text')},
}


def _check_tables(data: dict, path: Path, sizes_needed: bool) -> None:
    if isinstance(data, dict):
        # COCO's own files of unlabelled test images have no such list.
        data.setdefault('annotations', [])
    for table, fields in _TABLES.items():
        if table == 'images' and sizes_needed:
            fields = (*fields, 'file_name', 'width', 'height')
        rows = data.get(table) if isinstance(data, dict) else None
        if not isinstance(rows, list):
            raise InputError(
                f'{path} is not a COCO detection file: it has no list "{table}".'
            )
        seen = set()
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                raise InputError(f'{path}: {table}[{index}] is {row!r}, not an object.')
            lacking = [field for field in fields if field not in row]
            if lacking:
                raise InputError(
                    f'{path}: {table}[{index}] lacks {lacking}. Export the file again, '
                    f'in full.'
                )
            for field, (fits, kind) in _KINDS[table].items():
                if field in row and not fits(row[field]):
                    raise InputError(
                        f'{path}: {table}[{index}] has the {field} {row[field]!r}, '
                        f'which is not {kind}. Correct the file.'
                    )
            if not isinstance(row['id'], int | str):
                raise InputError(
                    f'{path}: {table}[{index}] has the id {row["id"]!r}. Ids are whole '
                    f'numbers or text.'
                )
            if row['id'] in seen:
                raise InputError(
                    f'{path}: two {table} have the id {row["id"]!r}. Number them anew.'
                )
            seen.add(row['id'])
    if not data['images']:
        raise InputError(f'{path} lists no images. Export it again, in full.')
    for table in ('images', 'categories'):
        if len({type(row['id']) for row in data[table]}) > 1:
            raise InputError(
                f'{path}: some ids of {table} are numbers and some text. Number them '
                f'anew.'
            )
    names = [category['name'] for category in data['categories']]
    if len(set(names)) < len(names):
        raise InputError(
            f'{path}: two categories have the same name: {names}. Rename or join them.'
        )
    if sizes_needed:
        names = [os.path.normpath(image['file_name']) for image in data['images']]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise InputError(
                f'{path}: {len(twice)} files are listed as two images, first '
                f'{twice[0]}: objects of one would be background in the other. Join '
                f'their annotations.'
            )
    for image in data['images']:
        width, height = image.get('width', 1), image.get('height', 1)
        if not (width > 0 and height > 0):
            raise InputError(
                f'{path}: image {image.get("file_name", image["id"])} is said to have '
                f'{width} x {height} px. Correct the file.'
            )


def _checked_annotations(data: dict, path: Path, bad_boxes: str) -> Iterator[dict]:
    images = {image['id']: image for image in data['images']}
    categories = {category['id'] for category in data['categories']}
    clipped = dropped = kept = 0
    for annotation in data['annotations']:
        item = f'{path}: annotation {annotation["id"]!r}'
        image_id, category_id = annotation['image_id'], annotation['category_id']
        if not (isinstance(image_id, int | str) and image_id in images):
            raise InputError(
                f'{item} belongs to image {image_id!r}, which the file does not list.'
            )
        if not (isinstance(category_id, int | str) and category_id in categories):
            raise InputError(
                f'{item} has category {category_id!r}, which the file does not list.'
            )
        image = images[image_id]
        for flag in ('iscrowd', 'ignore'):
            if not is_flag(annotation.get(flag)):
                raise InputError(
                    f'{item} has the {flag} {annotation[flag]!r}, which is not 0 or 1. '
                    f'Correct the file.'
                )
        problem = _box_problem(annotation, image)
        if problem is not None:
            if bad_boxes not in problem.mends:
                ways = [f'bad_boxes={way!r}' for way in problem.mends]
                mend = f', or set {" or ".join(ways)}' if ways else ''
                raise InputError(
                    f'{item} of image {image.get("file_name", image_id)}: box '
                    f'{annotation["bbox"]} {problem.text}. Correct the file{mend}.'
                )
            if bad_boxes == 'keep':
                kept += 1
            else:
                annotation = _clipped(annotation, image)
                clipped += annotation is not None
                dropped += annotation is None
                if annotation is None:
                    continue
        if annotation.get('area') is None:
            annotation['area'] = annotation['bbox'][2] * annotation['bbox'][3]
        annotation['iscrowd'] = int(bool(annotation.get('iscrowd')))
        yield annotation
    if clipped or dropped:
        _warn(
            f'{path}: clipped {clipped} boxes to their images and dropped {dropped} '
            f'that nothing was left of'
        )
    if kept:
        _warn(
            f'{path}: {kept} boxes have no area or leave their image by more than '
            f'{OUTSIDE_TOLERANCE:g} px; they are taken as they are'
        )


def _warn(message: str) -> None:
    print_log(message, 'current', logging.WARNING)


class _BoxProblem(NamedTuple):
    text: str
    mends: tuple[str, ...] = ('clip', 'keep')


def _box_problem(annotation: dict, image: dict) -> _BoxProblem | None:
    box = annotation['bbox']
    if not is_box(box):
        return _BoxProblem('is not [x, y, width, height] in px', mends=())
    if not all(map(math.isfinite, box)):
        return _BoxProblem('is not finite', mends=())
    x, y, w, h = box
    if w < 0 or h < 0:
        return _BoxProblem('has a negative size', mends=('clip',))
    if w == 0 or h == 0:
        return _BoxProblem('has no area')
    area = annotation.get('area')
    if area is not None:
        if not (isinstance(area, int | float) and math.isfinite(area) and area >= 0):
            return _BoxProblem(f'has the area {area!r} px^2', mends=())
        if area == 0:
            return _BoxProblem('has the area 0 px^2')
    if 'width' not in image or 'height' not in image:
        return None
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
