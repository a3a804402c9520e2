"""Ground truth and detections as arrays, a row a box."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from ..datasets.coco_file import StrictCOCO


class Objects(NamedTuple):
    """Ground truth.

    Attributes:
        image (np.ndarray): Index of the image, shape (n,).
        label (np.ndarray): Index of the class, shape (n,).
        box (np.ndarray): x, y, w, h in px, shape (n, 4).
        area (np.ndarray): Area in px^2, shape (n,); it need not be w * h.
        ignored (np.ndarray): Whether detections of it count neither as right nor
            as wrong (COCO's `iscrowd`), shape (n,).
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    area: np.ndarray
    ignored: np.ndarray

    @classmethod
    def from_coco(
        cls,
        coco: StrictCOCO,
        image_ids: Sequence,
        cat_ids: Sequence,
        is_ignored: Callable[[dict], object] = itemgetter('iscrowd'),
    ) -> 'Objects':
        """Take the objects of some categories from an annotation file.

        Args:
            coco (StrictCOCO): The file.
            image_ids (Sequence): Ids of the images, in the order of their index.
            cat_ids (Sequence): Ids of the categories, in the order of their label.
            is_ignored (Callable): Tells of an annotation whether it is to be ignored.
        """
        images = {image_id: index for index, image_id in enumerate(image_ids)}
        labels = {cat_id: index for index, cat_id in enumerate(cat_ids)}
        rows = [
            annotation
            for annotation in coco.dataset['annotations']
            if annotation['category_id'] in labels
        ]
        return cls(
            np.array([images[row['image_id']] for row in rows], np.int64),
            np.array([labels[row['category_id']] for row in rows], np.int64),
            np.array([row['bbox'] for row in rows], np.float64).reshape(-1, 4),
            np.array([row['area'] for row in rows], np.float64),
            np.array([bool(is_ignored(row)) for row in rows], bool),
        )

    def take(self, rows: np.ndarray) -> 'Objects':
        """Take some rows, by index or mask."""
        return Objects(*(column[rows] for column in self))


class Detections(NamedTuple):
    """What a detector found.

    Attributes:
        image (np.ndarray): Index of the image, shape (n,).
        label (np.ndarray): Index of the class, shape (n,).
        box (np.ndarray): x, y, w, h in px, shape (n, 4).
        score (np.ndarray): Confidence, shape (n,).
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray

    def take(self, rows: np.ndarray) -> 'Detections':
        """Take some rows, by index or mask."""
        return Detections(*(column[rows] for column in self))
