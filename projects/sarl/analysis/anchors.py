"""Anchors that fit a data set's objects, and which objects anchors reach.

YOLOv5 matches an object with an anchor by shape alone: no side may be more than
`prior_match_thr` times longer or shorter. So ratios of sides are what counts, and
anchors are the centres of clusters of log(width) and log(height).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.hub import get_config
from prettytable import PrettyTable
from scipy.cluster.vq import kmeans2

from ..datasets.coco_file import StrictCOCO
from ..errors import InputError
from ..markdown import markdown_table

# YOLOv5's `prior_match_thr`.
THRESHOLD = 4.0
RESTARTS = 10
COCO_CONFIG = 'mmyolo::yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'
# AI-TOD's bins: bounds of sqrt(w * h) in px, the upper one included.
BINS = {
    'all': (0, np.inf),
    'up to 8 px': (0, 8),
    '8 to 16 px': (8, 16),
    '16 to 32 px': (16, 32),
    'above 32 px': (32, np.inf),
}


def object_sizes(path: str | Path) -> np.ndarray:
    """Read the objects of a COCO-format file that a training sees.

    Those are all but crowds, ignored ones, and ones with a side below 1 px.

    Args:
        path (str | Path): The file.

    Returns:
        np.ndarray: Widths and heights in px, shape (N, 2).

    Raises:
        InputError: If the file is bad, see `StrictCOCO`, or has no such objects.
    """
    annotations = StrictCOCO(path, bad_boxes='clip').anns.values()
    sizes = [
        annotation['bbox'][2:]
        for annotation in annotations
        if not (annotation['iscrowd'] or annotation.get('ignore'))
    ]
    if not sizes:
        raise InputError(f'{path} has no objects to fit anchors to.')
    trained = [size for size in sizes if min(size) >= 1]
    if not trained:
        raise InputError(
            f'{path}: all {len(sizes)} boxes have a side below 1 px. Are they '
            f'fractions of the image? Write them in px.'
        )
    return np.array(trained, dtype=float)


def fit_anchors(
    sizes: np.ndarray, levels: int = 3, per_level: int = 3, seed: int = 0
) -> np.ndarray:
    """Cluster objects into anchors.

    Args:
        sizes (np.ndarray): Widths and heights in px, shape (N, 2).
        levels (int): Levels of the head.
        per_level (int): Anchors of a level.
        seed (int): Of the starts of the clustering.

    Returns:
        np.ndarray: Whole px, by area, shape (levels, per_level, 2).

    Raises:
        InputError: If there are fewer different sizes than anchors.
    """
    count = levels * per_level
    logs = np.log(sizes)
    if len(np.unique(logs, axis=0)) < count:
        raise InputError(
            f'{count} anchors need as many objects of different sizes, not '
            f'{len(np.unique(logs, axis=0))}.'
        )
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(RESTARTS):
        centres, labels = kmeans2(logs, count, iter=100, minit='++', seed=rng)
        found.append((((logs - centres[labels]) ** 2).sum(), centres))
    _, best = min(found, key=lambda pair: pair[0])
    anchors = np.exp(best).round().clip(min=1).astype(int)
    anchors = anchors[np.lexsort((anchors[:, 0], anchors.prod(1)))]
    return anchors.reshape(levels, per_level, 2)


def reached(
    sizes: np.ndarray, anchors: np.ndarray, threshold: float = THRESHOLD
) -> np.ndarray:
    """Tell which objects match an anchor, as YOLOv5's head matches them.

    Args:
        sizes (np.ndarray): Widths and heights in px, shape (N, 2).
        anchors (np.ndarray): Likewise, shape (..., 2).
        threshold (float): The head's `prior_match_thr`.

    Returns:
        np.ndarray: Booleans, shape (N,).
    """
    hit = np.zeros(len(sizes), dtype=bool)
    for anchor in np.reshape(anchors, (-1, 2)):
        ratio = sizes / anchor
        hit |= np.maximum(ratio, 1 / ratio).max(axis=1) < threshold
    return hit


def coco_anchors() -> np.ndarray:
    """Read the anchors of MMYOLO's YOLOv5 on COCO, shape (3, 3, 2)."""
    model = get_config(COCO_CONFIG).model
    return np.array(model.bbox_head.prior_generator.base_sizes)


def reach_table(
    sizes: np.ndarray, anchors: dict[str, np.ndarray], threshold: float = THRESHOLD
) -> PrettyTable:
    """Lay out which share of the objects sets of anchors reach, by size.

    Args:
        sizes (np.ndarray): Widths and heights in px, shape (N, 2).
        anchors (dict[str, np.ndarray]): By name.
        threshold (float): The head's `prior_match_thr`.
    """
    side = np.sqrt(sizes.prod(axis=1))
    table = markdown_table(
        ['objects', 'number', *anchors, 'halved: ' + next(iter(anchors))]
    )
    hits = [reached(sizes, a, threshold) for a in anchors.values()]
    hits.append(reached(sizes / 2, next(iter(anchors.values())), threshold))
    for name, (low, high) in BINS.items():
        chosen = (side > low) & (side <= high)
        shares = [
            f'{100 * h[chosen].mean():.1f} %' if chosen.any() else '-' for h in hits
        ]
        table.add_row([name, f'{chosen.sum():,}', *shares])
    return table


def anchors_lines(anchors: Sequence) -> str:
    """Write anchors as a config takes them, from the finest level to the coarsest."""
    # Up to four levels end at stride 32: a fourth one is of stride 4.
    finest = max(0, 6 - len(anchors))
    rows = [
        f'    {[tuple(map(int, anchor)) for anchor in level]},  # P{index}/{2**index}'
        for index, level in enumerate(anchors, start=finest)
    ]
    return '\n'.join(['anchors=[', *rows, '],'])
