"""DOTA's scenes and label files as tiles with a COCO-format file.

Reference: Ding et al. 2021, "Object Detection in Aerial Images: A Large-Scale Benchmark
and Challenges", TPAMI; the format is described at
https://captain-whu.github.io/DOTA/dataset.html.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely

from ..datasets.coco_file import read_json
from ..datasets.dota import DOTAv2Dataset
from ..errors import InputError
from ..files import write_json, write_whole
from ..images import find_images, image_problem, image_size, list_folder
from .text_files import read_lines
from .tiling import (
    Tiling,
    Window,
    jpg_tiles,
    objects_in_windows,
    open_scene,
    png_tiles,
    tile_name,
)
from .workers import map_in_order

CLASSES = DOTAv2Dataset.METAINFO['classes']
LABELS = {name: label for label, name in enumerate(CLASSES)}
CATEGORIES = [dict(id=label + 1, name=name) for name, label in LABELS.items()]
FORMATS = dict(png=png_tiles, jpg=jpg_tiles)
# px; what is thinner inside its image has no area.
THINNEST = 0.01


class Objects(NamedTuple):
    """Objects of a scene.

    Attributes:
        polygons (np.ndarray): Corners x1 y1 ... x4 y4 in px, shape (n, 8).
        labels (np.ndarray): Index in `CLASSES`, shape (n,).
        difficult (np.ndarray): 0, or 1 for an object that is hard to see, shape (n,).
    """

    polygons: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class Scene(NamedTuple):
    """An image with its objects, and how many of them had no area."""

    path: Path
    width: int
    height: int
    objects: Objects
    without_area: int


class Counts(NamedTuple):
    """What `convert` made.

    Attributes:
        scenes (int): Images read.
        tiles (int): Images written.
        objects (int): In the scenes.
        tile_objects (int): In the tiles; an object may be in several.
        in_no_tile (int): Objects that all windows cut too much off.
        without_area (int): Labelled objects left out because they have no area, or none
            inside their image.
        labelled (bool): Whether there were labels.
    """

    scenes: int
    tiles: int
    objects: int
    tile_objects: int
    in_no_tile: int
    without_area: int
    labelled: bool


def read_labels(path: Path) -> Objects:
    """Read a label file: `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`, an object a line.

    `difficult` may be missing, as in DOTA's oldest files, and is then 0. The header
    lines `imagesource:` and `gsd:` are skipped, wherever they are.

    Args:
        path (Path): The file; it may have no objects.

    Raises:
        InputError: If a line is malformed or has an unknown class; it names the line.
    """
    polygons, labels, difficult = [], [], []
    for number, line in read_lines(path):
        if line.lower().startswith(('imagesource:', 'gsd:')):
            continue
        fields = line.split()
        item = f'{path}, line {number}'
        try:
            corners = [float(value) for value in fields[:8]]
            flag = int(fields[9]) if len(fields) == 10 else 0
        except ValueError:
            corners, flag = [], 0
        if (
            len(fields) not in (9, 10)
            # Python takes 1_0 for 10.
            or any('_' in field for field in (*fields[:8], *fields[9:]))
            or not np.isfinite(corners).all()
            or len(corners) < 8
            or flag < 0
        ):
            raise InputError(
                f'{item}: {line!r} is not "x1 y1 x2 y2 x3 y3 x4 y4 class difficult" '
                f'with finite numbers and spaces between them.'
            )
        if fields[8] not in LABELS:
            raise InputError(
                f'{item}: unknown class {fields[8]!r}. The classes of DOTA-v2.0 are '
                f'{", ".join(CLASSES)}.'
            )
        polygons.append(corners)
        labels.append(LABELS[fields[8]])
        difficult.append(flag)
    return Objects(
        np.array(polygons, np.float64).reshape(-1, 8),
        np.array(labels, np.int64),
        np.array(difficult, np.int64),
    )


def convert(
    source: Path,
    out: Path,
    tiling: Tiling,
    image_format: str = 'png',
    workers: int = 1,
) -> Counts:
    """Cut a split of DOTA into tiles, and describe tiles and scenes in COCO format.

    Writes `images/`, `annotations.json` of the tiles, `scenes.json` of the uncut scenes
    to score merged detections on, and `tiling.json`, the settings. `annotations.json`
    is written last: where it is missing, a run was broken off and may be repeated.

    A box is the bounds of its polygon, clipped to the scene and the tile; `area` is
    that of the box, which the size classes of the AI-TOD metric go by. `segmentation`
    is the labelled polygon, not clipped, so that nothing of the label is lost.
    `iscrowd` is 0 for difficult objects too: a crowd region would be no training object
    and would swallow any number of detections. `difficult` is kept to filter by.

    Args:
        source (Path): Folder with `images/` and, unless it is a test set, `labelTxt/`.
        out (Path): Folder to write. One with other tiles in it is refused.
        tiling (Tiling): How to cut.
        image_format (str): 'png', lossless, or 'jpg' of quality 95.
        workers (int): Number of processes; nothing depends on it but the time.

    Raises:
        InputError: On bad input or a folder of other tiles, before anything is written;
            and on an image that turns out to be broken.
    """
    paths = find_images(source / 'images')
    if not paths:
        raise InputError(f'{source / "images"} has no images.')
    labels = source / 'labelTxt'
    labelled = labels.is_dir()
    if labelled:
        _check_pairs(paths, labels)
    elif others := [p for p in list_folder(source) if p.name.lower()[:5] == 'label']:
        raise InputError(
            f'{source} has no folder labelTxt, but {others[0].name}. Rename that to '
            f'labelTxt, or take it out of a test set.'
        )
    read = partial(_read_scene, labels=labels if labelled else None)
    scenes = list(map_in_order(read, paths, workers, 'read labels', chunk=16))
    windows = [tiling.windows(scene.width, scene.height) for scene in scenes]
    names = [
        f'{tile_name(scene.path.stem, window)}.{image_format}'
        for scene, windows_ in zip(scenes, windows, strict=True)
        for window in windows_
    ]
    settings = dict(
        patch=tiling.patch,
        gap=tiling.gap,
        rates=list(tiling.rates),
        format=image_format,
    )
    _prepare_folder(out, names, settings)

    tile = partial(
        _tile_scene, folder=out / 'images', tiling=tiling, suffix=image_format
    )
    cuts = map_in_order(tile, list(zip(scenes, windows, strict=True)), workers, 'cut')
    tiles = _Coco(settings)
    in_no_tile = 0
    for scene_id, (scene, windows_, kept) in enumerate(
        zip(scenes, windows, cuts, strict=True), start=1
    ):
        for window, indices in zip(windows_, kept, strict=True):
            tiles.add_tile(scene_id, scene, window, indices, image_format)
        in_no_tile += len(scene.objects) - len(np.unique(np.concatenate(kept)))
    whole = _Coco(settings)
    for scene in scenes:
        whole.add_scene(scene)
    write_json(out / 'scenes.json', whole.content)
    write_json(out / 'annotations.json', tiles.content)
    return Counts(
        scenes=len(scenes),
        tiles=len(names),
        objects=len(whole.content['annotations']),
        tile_objects=len(tiles.content['annotations']),
        in_no_tile=in_no_tile,
        without_area=sum(scene.without_area for scene in scenes),
        labelled=labelled,
    )


def _check_pairs(images: Sequence[Path], labels: Path) -> None:
    stems = {path.stem for path in images}
    labelled = {
        path.stem
        for path in list_folder(labels)
        if path.suffix == '.txt' and not path.name.startswith('.')
    }
    folder = images[0].parent
    if lacking := sorted(labelled - stems):
        raise InputError(
            f'{len(lacking)} label files have no image in {folder}, first '
            f'{labels / lacking[0]}.txt. DOTA-v2.0 needs the images of DOTA-v1.0 too.'
        )
    if lacking := sorted(stems - labelled):
        raise InputError(
            f'{len(lacking)} images of {folder} have no label file in {labels}, first '
            f'{lacking[0]}.txt. Complete the download; an image without objects needs '
            f'an empty label file.'
        )


def _read_scene(path: Path, labels: Path | None) -> Scene:
    width, height = image_size(path)
    if problem := image_problem(path):
        raise InputError(f'{path}: {problem}. Download or export it again.')
    if labels is None:
        empty = np.empty(0, np.int64)
        return Scene(path, width, height, Objects(np.empty((0, 8)), empty, empty), 0)
    objects = read_labels(labels / f'{path.stem}.txt')
    bounds = _clipped_bounds(objects.polygons, width, height)
    sides = bounds[:, 2:] - bounds[:, :2]
    shapes = shapely.polygons(objects.polygons.reshape(-1, 4, 2))
    areas = shapely.area(shapely.convex_hull(shapes))
    sound = (sides >= THINNEST).all(axis=1) & (areas > 0)
    kept = Objects(*(values[sound] for values in objects))
    return Scene(path, width, height, kept, int((~sound).sum()))


def _clipped_bounds(polygons: np.ndarray, width: int, height: int) -> np.ndarray:
    corners = polygons.reshape(-1, 4, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.hstack([low, high]).clip(0, [width, height, width, height])


def _prepare_folder(out: Path, names: Sequence[str], settings: dict) -> None:
    """Refuse a folder of other tiles; of a run that is repeated, take back the JSON."""
    record, images = out / 'tiling.json', out / 'images'
    mend = 'Choose another folder with --out'
    mend += ', or delete this one.' if record.exists() else '.'
    if record.exists() and (old := read_json(record)) != settings:
        raise InputError(
            f'{out} holds tiles of other settings, {old} and not {settings}. {mend}'
        )
    if images.is_dir():
        others = {
            path.name.removesuffix('.part')
            for path in list_folder(images)
            if not path.name.startswith('.')
        }
        if record.exists():
            others -= set(names)
        if others:
            raise InputError(
                f'{images} holds {len(others)} files that are not tiles of this run, '
                f'first {min(others)}. {mend}'
            )
    for path in (out / 'annotations.json', out / 'scenes.json'):
        # A run of ours writes its record first.
        if path.exists() and not record.exists():
            raise InputError(f'{path} is not of this tool. {mend}')
        path.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    write_json(record, settings)
    images.mkdir(exist_ok=True)


def _tile_scene(
    item: tuple[Scene, list[Window]], folder: Path, tiling: Tiling, suffix: str
) -> list[np.ndarray]:
    scene, windows = item
    tiles = FORMATS[suffix](open_scene(scene.path), windows, tiling.patch)
    for window, tile in zip(windows, tiles, strict=True):
        write_whole(folder / f'{tile_name(scene.path.stem, window)}.{suffix}', tile)
    return list(objects_in_windows(scene.objects.polygons, windows))


class _Coco:
    """A COCO-format file that grows, with ids from 1 in order."""

    def __init__(self, settings: dict) -> None:
        self.content = dict(
            info=dict(description='DOTA-v2.0', **settings),
            images=[],
            annotations=[],
            categories=CATEGORIES,
        )

    def add_scene(self, scene: Scene) -> None:
        window = Window(0, 0, max(scene.width, scene.height), 1.0)
        image = dict(file_name=scene.path.name, width=scene.width, height=scene.height)
        self._add(image, scene, window, window.size, range(len(scene.objects)))

    def add_tile(
        self,
        scene_id: int,
        scene: Scene,
        window: Window,
        indices: np.ndarray,
        suffix: str,
    ) -> None:
        patch = self.content['info']['patch']
        name = f'{tile_name(scene.path.stem, window)}.{suffix}'
        image = dict(
            file_name=name,
            width=patch,
            height=patch,
            scene=scene.path.stem,
            scene_id=scene_id,
            scene_width=scene.width,
            scene_height=scene.height,
            patch=patch,
            **window._asdict(),
        )
        self._add(image, scene, window, patch, indices)

    def _add(
        self,
        image: dict,
        scene: Scene,
        window: Window,
        patch: int,
        indices: Sequence[int],
    ) -> None:
        image_id = len(self.content['images']) + 1
        self.content['images'].append(dict(id=image_id, **image))
        objects = Objects(*(values[list(indices)] for values in scene.objects))
        scale = patch / window.size
        bounds = _clipped_bounds(objects.polygons, scene.width, scene.height)
        boxes = ((bounds - [window.x, window.y] * 2) * scale).clip(0, patch)
        polygons = (objects.polygons - [window.x, window.y] * 4) * scale
        annotations = self.content['annotations']
        for box, polygon, label, difficult in zip(
            boxes.round(3).tolist(),
            polygons.round(3).tolist(),
            objects.labels.tolist(),
            objects.difficult.tolist(),
            strict=True,
        ):
            x, y, right, bottom = box
            w, h = round(right - x, 3), round(bottom - y, 3)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=label + 1,
                    bbox=[x, y, w, h],
                    area=round(w * h, 3),
                    segmentation=[polygon],
                    iscrowd=0,
                    difficult=difficult,
                )
            )
