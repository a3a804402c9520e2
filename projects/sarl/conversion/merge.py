"""Detections on tiles, put together to detections on whole scenes.

An object near a seam is found in several tiles, whole in one and cut in the others.
Non-maximum suppression over the scene would keep the cut pieces, whose IoU with the
whole box is low, and would lose neighbours that overlap, as the horizontal boxes of
slanting ships and harbours do, though every tile tells them apart. So the same object
is recognised in two tiles by what both of them see, the part of the scene they share:
there its two boxes, cut alike, agree.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..datasets.coco_file import StrictCOCO
from ..errors import InputError
from ..files import write_json, write_whole
from ..metrics.results_file import read_detections
from .workers import map_in_order

# px of the tile: a box that comes as close to the border may be cut by it.
BORDER = 2.0
# The lowest IoU of two pieces of one object, each cut where the other goes on.
PIECES_IOU = 0.9
# What `dota2coco.py` writes of each tile, and going back needs.
TILE_FIELDS = ('scene', 'scene_id', 'scene_width', 'scene_height', 'x', 'y', 'size')


class TileDetections(NamedTuple):
    """Detections of one tile, in px of the scene.

    Attributes:
        window (np.ndarray): x1 y1 x2 y2 of the tile, cut to the scene, shape (4,).
        boxes (np.ndarray): x1 y1 x2 y2, shape (n, 4).
        scores (np.ndarray): Shape (n,).
        labels (np.ndarray): Shape (n,).
        cut (np.ndarray): Whether the box touches a border of the tile that is not one
            of the scene, shape (n,).
    """

    window: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    cut: np.ndarray


def merge_tiles(
    tiles: Sequence[TileDetections], iou: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the detections of the tiles of a scene.

    Two detections of one class, of two tiles, may be the same object if their boxes,
    cut to the part of the scene that both tiles see, have an IoU of at least `iou`, or
    0.9 if both boxes go on outside that part. The pairs are joined from the highest IoU
    down, as long as an object gets one detection a tile: what is two objects in a tile
    stays two. Of an object's detections the best scored whole one gives the box, or,
    where each tile cuts it, the largest; the highest score of them all is its score.

    Given the tiles' ground truth as detections, this returns each object that a tile
    keeps, once, with its own box if a tile holds it whole. What cannot come back:
    objects of which no tile keeps 70 %, and the full box of an object that every tile
    cuts, being larger than what neighbours share: its largest piece returns. Among
    crowded objects of a class that are as large, two pieces may agree by chance and
    become one, or pieces of one too little and stay two; smaller ones return exactly.

    Args:
        tiles (Sequence[TileDetections]): The tiles.
        iou (float): The lowest IoU of the same object.

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: Boxes x1 y1 x2 y2 in px, scores and
            labels, by falling score.
    """
    boxes, scores, labels, cut = (
        np.concatenate([getattr(tile, name) for tile in tiles])
        for name in ('boxes', 'scores', 'labels', 'cut')
    )
    counts = [len(tile.scores) for tile in tiles]
    starts = np.cumsum([0, *counts])
    pairs = [
        (ious, of_a + starts[a], of_b + starts[b])
        for a, b in combinations(range(len(tiles)), 2)
        if (tiles[a].window[:2] < tiles[b].window[2:]).all()
        and (tiles[b].window[:2] < tiles[a].window[2:]).all()
        for ious, of_a, of_b in [_same_objects(tiles[a], tiles[b], iou)]
    ]
    tile_of = np.repeat(np.arange(len(tiles)), counts).tolist()
    groups = _join(pairs, tile_of)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    # Whole ones by score, then pieces by area.
    rank = np.lexsort((-areas, np.where(cut, 0, -scores), cut))
    place = np.empty(len(rank), np.int64)
    place[rank] = np.arange(len(rank))
    chosen = np.array([min(group, key=place.__getitem__) for group in groups], np.int64)
    best = np.array([max(map(scores.__getitem__, group)) for group in groups])
    order = np.argsort(-best, kind='stable')
    chosen = chosen[order]
    return boxes[chosen], best[order], labels[chosen]


def merge_files(
    tiles_path: Path,
    detections_path: Path,
    out: Path,
    iou: float = 0.5,
    dota: Path | None = None,
    workers: int = 1,
) -> tuple[int, int, int]:
    """Merge a file of detections on tiles to one of detections on scenes.

    The image ids of the result are those of `scenes.json` beside the tiles' file. Boxes
    are clipped to their tile and scene; those with nothing left are left out.

    Args:
        tiles_path (Path): `annotations.json` of `dota2coco.py`.
        detections_path (Path): COCO-format detections on its images.
        out (Path): JSON file to write, COCO-format detections on the scenes.
        iou (float): The lowest IoU of the same object, see `merge_tiles`.
        dota (Path, optional): Folder for the files of DOTA's server, a class each.
        workers (int): Number of processes.

    Returns:
        tuple[int, int, int]: Numbers of detections on tiles, of those on scenes, and of
            scenes.

    Raises:
        InputError: If a file is missing or malformed or they do not belong together.
    """
    if not 0 < iou <= 1:
        raise InputError(f'the IoU of the same object is in (0, 1], not {iou}.')
    truth = StrictCOCO(tiles_path)
    scenes = _tiles_by_scene(truth)
    image_ids, cat_ids = list(truth.imgs), sorted(truth.cats)
    found = read_detections(detections_path, truth, image_ids, cat_ids)

    by_image = np.argsort(found.image, kind='stable')
    bounds = np.searchsorted(found.image[by_image], np.arange(len(image_ids) + 1))
    rows = {
        image_id: by_image[bounds[index] : bounds[index + 1]]
        for index, image_id in enumerate(image_ids)
    }
    items = [
        [
            _in_scene(tile, *(values[rows[tile['id']]] for values in found[1:]))
            for tile in tiles
        ]
        for tiles in scenes.values()
    ]
    merge = partial(merge_tiles, iou=iou)
    merged = list(map_in_order(merge, items, workers, 'merge'))
    results = [
        dict(image_id=scene_id, category_id=cat_ids[label], bbox=box, score=score)
        for scene_id, scene in zip(scenes, merged, strict=True)
        for box, score, label in _rows(*scene)
    ]
    if dota is not None:
        _write_submission(dota, truth.classes, scenes, results, cat_ids)
    write_json(out, results)
    return len(found.score), len(results), len(scenes)


def _tiles_by_scene(truth: StrictCOCO) -> dict[int, list[dict]]:
    scenes: dict[int, list[dict]] = {}
    for tile in truth.dataset['images']:
        if any(field not in tile for field in TILE_FIELDS):
            raise InputError(
                f'{truth.path}: image {tile["file_name"]} lacks one of '
                f'{list(TILE_FIELDS)}. Is it the annotations.json that dota2coco.py '
                f'wrote?'
            )
        scenes.setdefault(tile['scene_id'], []).append(tile)
    return scenes


def _in_scene(
    tile: dict, labels: np.ndarray, boxes: np.ndarray, scores: np.ndarray
) -> TileDetections:
    scale = tile['size'] / tile['width']
    end = np.array([tile['scene_width'], tile['scene_height']])
    start = np.array([tile['x'], tile['y']])
    stop = np.minimum(start + tile['size'], end)
    window = np.hstack([start, stop])
    corners = np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    corners = (corners * scale + np.tile(start, 2)).clip(
        np.tile(start, 2), np.tile(stop, 2)
    )
    left = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    corners, scores, labels = corners[left], scores[left], labels[left]
    at_start = (corners[:, :2] - start <= BORDER * scale) & (start > 0)
    at_stop = (stop - corners[:, 2:] <= BORDER * scale) & (stop < end)
    cut = (at_start | at_stop).any(axis=1)
    return TileDetections(window, corners, scores, labels, cut)


def _same_objects(
    a: TileDetections, b: TileDetections, iou: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pairs that agree where both tiles see the scene, and their IoU there."""
    start = np.maximum(a.window[:2], b.window[:2])
    stop = np.minimum(a.window[2:], b.window[2:])
    (seen_a, in_a), (seen_b, in_b) = (_seen(tile, start, stop) for tile in (a, b))
    low = np.maximum(seen_a[:, None, :2], seen_b[:, :2])
    high = np.minimum(seen_a[:, None, 2:], seen_b[:, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas_a, areas_b = (
        (seen[:, 2:] - seen[:, :2]).prod(axis=1) for seen in (seen_a, seen_b)
    )
    ious = shared / (areas_a[:, None] + areas_b - shared)
    ious[a.labels[in_a][:, None] != b.labels[in_b]] = 0
    first, second = np.nonzero(ious >= iou)
    ends = np.hstack([start, stop])
    boxes_a, boxes_b = a.boxes[in_a][first], b.boxes[in_b][second]
    agree = _reaches(seen_b[second], boxes_a, ends)
    agree &= _reaches(seen_a[first], boxes_b, ends)
    # Where both go on outside, less of them is compared: it has to agree better, and
    # an edge has to be in sight: what fills all of it may be anything.
    beyond = (boxes_a != seen_a[first]).any(axis=1)
    beyond &= (boxes_b != seen_b[second]).any(axis=1)
    edges = (seen_a[first] != ends).sum(axis=1)
    agree &= ~beyond | (ious[first, second] >= PIECES_IOU) & (edges >= 1)
    first, second = first[agree], second[agree]
    return ious[first, second], in_a[first], in_b[second]


def _seen(
    tile: TileDetections, start: np.ndarray, stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    boxes = tile.boxes.clip(np.tile(start, 2), np.tile(stop, 2))
    (indices,) = np.nonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    return boxes[indices], indices


def _reaches(seen: np.ndarray, whole: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Tell whether a box ends at each border that its counterpart crosses.

    A tenth of its side, or 2 px, is tolerance for what a detector finds.
    """
    crosses = np.hstack([whole[:, :2] < ends[:2], whole[:, 2:] > ends[2:]])
    tolerance = np.tile((seen[:, 2:] - seen[:, :2]) / 10, 2).clip(BORDER)
    return (~crosses | (np.abs(seen - ends) <= tolerance)).all(axis=1)


def _join(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], tile_of: list[int]
) -> list[list[int]]:
    """Join the pairs from the best down, to groups of at most one detection a tile."""
    group_of = list(range(len(tile_of)))
    groups = [[index] for index in group_of]
    tiles = [{tile} for tile in tile_of]
    if pairs:
        ious, first, second = map(np.concatenate, zip(*pairs, strict=True))
        order = np.lexsort((second, first, -ious))
        for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True):
            a, b = group_of[a], group_of[b]
            if a == b or not tiles[a].isdisjoint(tiles[b]):
                continue
            for index in groups[b]:
                group_of[index] = a
            groups[a] += groups[b]
            tiles[a] |= tiles[b]
            groups[b] = []
    return [group for group in groups if group]


def _rows(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[list[float], float, int]]:
    sides = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    return zip(sides.round(3).tolist(), scores.tolist(), labels.tolist(), strict=True)


def _write_submission(
    folder: Path,
    classes: Sequence[str],
    scenes: dict[int, list[dict]],
    results: Sequence[dict],
    cat_ids: Sequence[int],
) -> None:
    lines: dict[int, list[str]] = {cat_id: [] for cat_id in cat_ids}
    for result in results:
        x, y, w, h = result['bbox']
        lines[result['category_id']].append(
            f'{scenes[result["image_id"]][0]["scene"]} {result["score"]:.6f} '
            f'{x:.2f} {y:.2f} {x + w:.2f} {y + h:.2f}\n'
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, cat_id in zip(classes, cat_ids, strict=True):
        write_whole(folder / f'Task2_{name}.txt', ''.join(lines[cat_id]).encode())
