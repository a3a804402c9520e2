"""Detections in COCO's result format, of any framework, read strictly."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..datasets.coco_file import StrictCOCO, is_box, is_number, read_json
from ..errors import InputError
from .boxes import Detections


def read_detections(
    path: str | Path, truth: StrictCOCO, image_ids: Sequence, cat_ids: Sequence
) -> Detections:
    """Read a list of `image_id`, `category_id`, `bbox` [x, y, w, h] in px and `score`.

    Detections without area are kept: they match nothing. So are those of categories of
    the ground truth that are not in `cat_ids`, with labels beyond them.

    Args:
        path (str | Path): The JSON file.
        truth (StrictCOCO): The ground truth that they belong to.
        image_ids (Sequence): Ids of its images, in the order of their index.
        cat_ids (Sequence): Ids of its categories, in the order of their label.

    Raises:
        InputError: If the file is missing or not such a list, or an entry is not of
            this ground truth, not finite or of negative size.
    """
    path = Path(path)
    entries = read_json(path, 'detections')
    if not isinstance(entries, list):
        raise InputError(
            f'{path} is not a list of detections, [{{"image_id": ..., "category_id": '
            f'..., "bbox": [x, y, w, h], "score": ...}}, ...].'
        )
    images = {image_id: index for index, image_id in enumerate(image_ids)}
    others = [cat_id for cat_id in truth.cats if cat_id not in set(cat_ids)]
    labels = {cat_id: index for index, cat_id in enumerate([*cat_ids, *others])}
    try:
        detections = _as_arrays(entries, images, labels)
    except (KeyError, TypeError, ValueError, OverflowError):
        detections = None
    if detections is None or not _sound(detections):
        for index, entry in enumerate(entries):
            problem = _problem(entry, images, labels, truth.path)
            if problem is not None:
                raise InputError(f'{path}: entry [{index}] {problem}')
    return detections


def _as_arrays(entries: list[dict], images: dict, labels: dict) -> Detections:
    return Detections(
        np.array([images[entry['image_id']] for entry in entries], np.int64),
        np.array([labels[entry['category_id']] for entry in entries], np.int64),
        _numbers([entry['bbox'] for entry in entries]).reshape(len(entries), 4),
        _numbers([entry['score'] for entry in entries]).reshape(len(entries)),
    )


def _numbers(values: list) -> np.ndarray:
    array = np.array(values)
    if len(values) and array.dtype.kind not in 'iuf':
        raise TypeError(f'not numbers but {array.dtype}')
    return array.astype(np.float64)


def _sound(detections: Detections) -> bool:
    return bool(
        np.isfinite(detections.box).all()
        and np.isfinite(detections.score).all()
        and (detections.box[:, 2:] >= 0).all()
    )


def _problem(entry: object, images: dict, labels: dict, truth: Path) -> str | None:
    if not isinstance(entry, dict):
        return f'is {entry!r}, not an object.'
    lacking = [
        key for key in ('image_id', 'category_id', 'bbox', 'score') if key not in entry
    ]
    if lacking:
        return f'lacks {lacking}.'
    for key, known in (('image_id', images), ('category_id', labels)):
        value = entry[key]
        if not isinstance(value, int | float | str) or value not in known:
            return f'has the {key} {value!r}, {_unknown(value, known, truth)}'
    box, score = entry['bbox'], entry['score']
    if not is_box(box):
        return f'has the bbox {box!r}, not [x, y, width, height] in px.'
    if not all(map(math.isfinite, box)):
        return f'has the bbox {box}, which is not finite. Did the training diverge?'
    if min(box[2:]) < 0:
        return (
            f"has the bbox {box} of negative size. COCO's boxes are [x, y, width, "
            f'height].'
        )
    if not (is_number(score) and math.isfinite(score)):
        return f'has the score {score!r}, not a finite number.'
    return None


def _unknown(value: object, known: dict, truth: Path) -> str:
    kinds = {type(key) for key in known}
    if kinds and type(value) not in kinds:
        wanted = 'text' if str in kinds else 'a whole number'
        return f'but {truth} has {wanted} there. Write its ids as that file does.'
    some = ', '.join(map(repr, list(known)[:5]))
    return (
        f'which {truth} does not have (it has {some}{", ..." if len(known) > 5 else ""}'
        f'). Are the two files of the same data set?'
    )
