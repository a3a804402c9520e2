"""The xView part of AI-TOD, cut out of an xView download.

The annotations of AI-TOD are complete, but the images that it took from xView are not
handed out with them: everybody cuts them anew.

References:
    Lam et al. 2018, "xView: Objects in Context in Overhead Imagery", arXiv 1802.07856.
    Wang et al. 2021, "Tiny Object Detection in Aerial Images", ICPR. The rules follow
    the code that its authors publish for this (`aitodtoolkit` of jwwangchn/AI-TOD with
    `split_image` of jwwangchn/wwtool):

- Windows of 800 x 800 px start at 0, 600, 1200, ... px; the last start in the scene is
  moved back to where the window ends at the border. The one before it may already
  stick out: what is outside is black.
- A tile is named `{scene}__{left}_{top}.png`.
- A box belongs to each tile that holds its centre: left <= x < left + 800, and so for
  y. Tiles that hold no object of AI-TOD's classes, and all-black tiles, are skipped.
- AI-TOD's code reads a scene as RGB and writes it as BGR, so its tiles have red and
  blue exchanged. Tiles here do too, unless `channels` is 'xview'.

The windows agree with the names of tiles that AI-TOD publishes. That the exchanged
channels are those of the images its authors hold could not be checked.
"""

import io
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..datasets.coco_file import read_json
from ..errors import InputError
from ..files import write_json, write_whole
from ..images import find_images, image_problem, image_size, read_image
from .workers import map_in_order

SIDE = 800  # px
STEP = 600  # px, from window to window
CHANNELS = ('aitod', 'xview')
TILE_NAME = re.compile(r'(\d+)__(\d+)_(\d+)\.png')
REPORT = 'xview_tiles.json'
# The ids of xView's types whose objects AI-TOD took over.
AITOD_TYPES = (
    *(11, 12, 13),  # airplane
    *(17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 32, 33, 34, 35, 36, 37, 38),
    *(53, 59, 60, 61, 62, 63, 64, 65, 66),  # with the line above: vehicle
    *(40, 41, 42, 44, 45, 47, 49, 50, 51, 52),  # ship
    86,  # storage-tank
)
# xView labels this scene but never had it in its archive (xView1_baseline#3).
NEVER_RELEASED = '1395.tif'


class _Job(NamedTuple):
    scene: Path
    # (left, top) of the tiles wanted, or (x, y) of the objects, in px.
    windows: tuple[tuple[int, int], ...] | None
    centres: np.ndarray | None


class _Result(NamedTuple):
    made: int
    tiles: list[str]
    not_made: dict[str, str]


def window_starts(length: int) -> list[int]:
    """Place the windows along one side of a scene.

    Args:
        length (int): The side in px.

    Returns:
        list[int]: Where they start, in px, ascending.
    """
    starts = {*range(0, length, STEP)[:-1], max(length - SIDE, 0)}
    return sorted(starts)


def cut_tile(scene: np.ndarray, left: int, top: int) -> np.ndarray:
    """Cut a window out of a scene; what is outside the scene is black.

    Args:
        scene (np.ndarray): Shape (height, width, 3).
        left (int): Where the window starts, in px.
        top (int): Likewise.

    Returns:
        np.ndarray: Shape (800, 800, 3).
    """
    tile = np.zeros((SIDE, SIDE, 3), scene.dtype)
    inside = scene[top : top + SIDE, left : left + SIDE]
    tile[: inside.shape[0], : inside.shape[1]] = inside
    return tile


def make_tiles(
    xview: Path,
    out: Path,
    annotations: Sequence[Path] = (),
    channels: str = 'aitod',
    workers: int = 1,
) -> dict:
    """Cut the tiles of AI-TOD out of xView's scenes, as lossless PNG files.

    A tile that is there, whole and of the same settings is kept. The list of tiles
    `xview_tiles.json` is written last. What cannot be made does not stop the rest.

    Args:
        xview (Path): The download: `train_images` with scenes, `val_images` if there,
            and anywhere in it, unless `annotations` are given, `xView_train.geojson`.
        out (Path): The folder to write to; other files in it are left alone.
        annotations (Sequence[Path]): Files of AI-TOD. With them the tiles are those
            they name, without them those that hold an object of AI-TOD's classes.
        channels (str): 'aitod' exchanges red and blue as AI-TOD's own code does,
            'xview' leaves them as they are.
        workers (int): Number of processes.

    Returns:
        dict: `tiles`, their names in order; `not_made`, why by name of tile or scene;
            `features_left_out`, labels of the geojson file without a usable box, image
            or type; `settings`. This much is in the file. And `made`, the number of
            tiles that were not there before.

    Raises:
        InputError: If the download, its labels or the annotations are missing or
            malformed.
    """
    if channels not in CHANNELS:
        raise InputError(f'channels is one of {CHANNELS}, not {channels!r}.')
    scenes = _find_scenes(xview)
    left_out = 0
    if annotations:
        jobs, not_made = _jobs_of_names(scenes, annotations)
    else:
        jobs, not_made, left_out = _jobs_of_labels(scenes, xview)
    out.mkdir(parents=True, exist_ok=True)
    tiles, made = [], 0
    cut = partial(_cut_scene, out=out, channels=channels)
    for result in map_in_order(cut, jobs, workers, 'cut scenes'):
        made += result.made
        tiles += result.tiles
        not_made |= result.not_made
    report = dict(
        settings=dict(side=SIDE, step=STEP, channels=channels),
        tiles=sorted(tiles, key=_by_number),
        not_made=dict(sorted(not_made.items(), key=lambda item: _by_number(item[0]))),
        features_left_out=left_out,
    )
    write_json(out / REPORT, report, indent=1)
    return report | dict(made=made)


def _by_number(name: str) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r'\d+', name)], name


def _find_scenes(xview: Path) -> dict[str, Path]:
    paths = find_images(xview / 'train_images')
    if (xview / 'val_images').is_dir():
        paths += find_images(xview / 'val_images')
    scenes: dict[str, Path] = {}
    for path in paths:
        other = scenes.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f'{other} and {path} have the same name. Keep one of them.'
            )
    if not scenes:
        raise InputError(
            f'{xview / "train_images"} holds no images. Unpack xView there.'
        )
    return scenes


def _jobs_of_names(
    scenes: dict[str, Path], annotations: Sequence[Path]
) -> tuple[list[_Job], dict[str, str]]:
    wanted = defaultdict(set)
    for path in annotations:
        data = read_json(path)
        images = data.get('images') if isinstance(data, dict) else None
        if not isinstance(images, list):
            raise InputError(f'{path} is not an annotation file: no list "images".')
        for index, image in enumerate(images):
            name = image.get('file_name') if isinstance(image, dict) else None
            if not isinstance(name, str):
                raise InputError(f'{path}: images[{index}] has no file_name.')
            tile = TILE_NAME.fullmatch(Path(name).name)
            if tile:
                wanted[tile[1]].add((int(tile[2]), int(tile[3])))
    if not wanted:
        raise InputError(
            f'{", ".join(map(str, annotations))}: no image is named as tiles of xView '
            f'are, such as 5__600_1200.png. Give annotation files of AI-TOD.'
        )
    jobs, not_made = [], {}
    for scene in sorted(wanted, key=int):
        windows = tuple(sorted(wanted[scene]))
        if scene in scenes:
            jobs.append(_Job(scenes[scene], windows, None))
        else:
            for left, top in windows:
                not_made[_tile_name(scene, left, top)] = f'scene {scene} is missing'
    return jobs, not_made


def _jobs_of_labels(
    scenes: dict[str, Path], xview: Path
) -> tuple[list[_Job], dict[str, str], int]:
    name = 'xView_train.geojson'
    path = next(iter(sorted(xview.rglob(name))), None)
    if path is None:
        raise InputError(
            f'{xview} holds no {name}. Unpack the labels of xView there, or name the '
            f'tiles by annotation files of AI-TOD.'
        )
    data = read_json(path, 'label')
    features = data.get('features') if isinstance(data, dict) else None
    if not isinstance(features, list):
        raise InputError(f'{path} is not a geojson file: it has no list "features".')
    centres, left_out = defaultdict(list), 0
    for feature in features:
        found = _scene_and_centre(feature)
        if found is None:
            left_out += 1
        elif feature['properties']['type_id'] in AITOD_TYPES:
            centres[found[0]].append(found[1])
    if not centres:
        raise InputError(
            f'{path}: none of {len(features)} features is a usable box of a class of '
            f'AI-TOD. Download the labels of xView again.'
        )
    jobs, not_made = [], {}
    for image_name in sorted(centres, key=_by_number):
        scene = scenes.get(Path(image_name).stem)
        if scene is not None:
            jobs.append(_Job(scene, None, np.array(centres[image_name])))
        elif image_name != NEVER_RELEASED:
            not_made[image_name] = 'the scene is missing'
    return jobs, not_made, left_out


def _scene_and_centre(feature: dict) -> tuple[str, tuple[float, float]] | None:
    try:
        properties = feature['properties']
        left, top, right, bottom = map(float, properties['bounds_imcoords'].split(','))
        scene, _ = properties['image_id'], properties['type_id']
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    centre = (left + right) / 2, (top + bottom) / 2
    if not (isinstance(scene, str) and np.isfinite(centre).all()):
        return None
    return scene, centre


def _tile_name(scene: str, left: int, top: int) -> str:
    return f'{scene}__{left}_{top}.png'


def _cut_scene(job: _Job, out: Path, channels: str) -> _Result:
    scene = job.scene.stem
    tiles, not_made, made, pixels = [], {}, 0, None
    try:
        width, height = image_size(job.scene)
        windows = [
            (left, top)
            for left in window_starts(width)
            for top in window_starts(height)
            if job.centres is None or _holds_any(left, top, job.centres)
        ]
        if job.windows is not None:
            for window in set(job.windows) - set(windows):
                not_made[_tile_name(scene, *window)] = (
                    f'{job.scene.name} of {width} x {height} px has no window there'
                )
            windows = [window for window in windows if window in job.windows]
        # Tells the tiles of other settings apart, without a list that a killed run
        # would leave behind untrue.
        mark = f'sarl: xView tile of {SIDE} px, {channels} channels'
        names = {_tile_name(scene, *window): window for window in windows}
        tiles = [name for name in names if _is_whole(out / name, mark)]
        for name in sorted(names.keys() - tiles):
            if pixels is None:
                pixels = read_image(job.scene)
            tile = cut_tile(pixels, *names[name])
            if not tile.any():
                if job.windows is not None:
                    not_made[name] = 'the tile is all black'
                continue
            write_whole(out / name, _png(tile, mark, channels))
            tiles.append(name)
            made += 1
    except InputError as error:
        lost = [job.scene.name]
        if job.windows is not None:
            lost = [_tile_name(scene, *window) for window in job.windows]
        not_made |= {name: str(error) for name in lost if name not in tiles}
    return _Result(made, tiles, not_made)


def _holds_any(left: int, top: int, centres: np.ndarray) -> bool:
    offsets = centres - (left, top)
    return bool(((offsets >= 0) & (offsets < SIDE)).all(1).any())


def _is_whole(path: Path, mark: str) -> bool:
    if not path.is_file() or image_problem(path) is not None:
        return False
    try:
        with Image.open(path) as image:
            return image.size == (SIDE, SIDE) and image.info.get('Comment') == mark
    except (OSError, SyntaxError):
        return False


def _png(tile: np.ndarray, mark: str, channels: str) -> bytes:
    # `tile` is BGR: taken for RGB, red and blue are exchanged.
    pixels = tile if channels == 'aitod' else tile[:, :, ::-1]
    info, file = PngInfo(), io.BytesIO()
    info.add_text('Comment', mark)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    # Twice as fast as the default, for little larger files
    image.save(file, 'PNG', pnginfo=info, compress_level=1)
    return file.getvalue()
