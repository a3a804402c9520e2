"""A whole data set of scenes, in COCO format."""

from functools import partial
from pathlib import Path

import cv2

from ...conversion.workers import map_in_order
from ...errors import InputError
from ...files import write_json, write_whole
from ..aitod import AITODDataset
from .folder import prepare_folder
from .render import render_scene

CLASSES = AITODDataset.METAINFO['classes']
# Raise the number with every change that alters pixels or boxes: folders made by
# an older generator are then made again.
GENERATOR = 'sarl-scenes 1'
LEAST = {'train': 1, 'val': 1, 'seed': 0, 'size': 64}


def make_scenes(
    out: str | Path,
    train: int = 800,
    val: int = 200,
    seed: int = 0,
    size: int = 320,
    workers: int = 2,
) -> None:
    """Write `annotations/{train,val}.json` and `images/`, in COCO format.

    Killed, it can be run again and ends with the same bytes; complete, it returns
    at once; of other arguments or another generator, it is made anew. One process
    at a time per folder.

    Args:
        out (str | Path): The folder, new, empty or from an earlier run.
        train (int): The number of scenes to train on.
        val (int): The number of scenes to validate on.
        seed (int): What the scenes show.
        size (int): The images' side in px.
        workers (int): Processes; the result does not depend on them.

    Raises:
        InputError: If a number is too small, or the folder holds something else or
            cannot be written.
    """
    recipe = {'train': train, 'val': val, 'seed': seed, 'size': size}
    for name, value in recipe.items():
        if value < LEAST[name]:
            raise InputError(f'{name} must be at least {LEAST[name]}, not {value}.')
    recipe['generator'] = GENERATOR
    out = Path(out)
    try:
        prepare_folder(out, recipe)
        notes = [out / 'annotations' / f'{split}.json' for split in ('train', 'val')]
        if all(note.exists() for note in notes):
            return
        objects = draw_scenes(out, recipe, workers)
        write_json(notes[0], coco('train', objects[:train], recipe))
        write_json(notes[1], coco('val', objects[train:], recipe))
    except OSError as error:
        raise InputError(
            f'cannot write scenes in {out}: {error.strerror or error}. Make room or '
            f'name another folder.'
        ) from error


def draw_scenes(out: Path, recipe: dict, workers: int) -> list[list[dict]]:
    """Write all images; return their objects, those to train on first."""
    scenes = [(split, n) for split in ('train', 'val') for n in range(recipe[split])]
    draw = partial(draw_scene, out, recipe['seed'], recipe['size'])
    return list(map_in_order(draw, scenes, workers, 'scenes', chunk=4))


def draw_scene(out: Path, seed: int, size: int, scene: tuple[str, int]) -> list[dict]:
    """Write one image, numbered within its split, unless it exists.

    An existing image's scene is drawn all the same, since its objects are needed.
    """
    image, objects = render_scene(seed, scene_index(*scene), size)
    path = out / 'images' / file_name(*scene)
    if not path.exists():
        _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        write_whole(path, data.tobytes())
    return objects


def scene_index(split: str, number: int) -> int:
    """Even scenes train, odd ones validate: disjoint whatever their numbers."""
    return 2 * number + (split == 'val')


def file_name(split: str, number: int) -> str:
    return f'{split}_{number:05d}.jpg'


def coco(split: str, scenes: list[list[dict]], recipe: dict) -> dict:
    """The content of a split's annotation file, from the objects of its scenes."""
    images = [
        {
            'id': number + 1,
            'file_name': file_name(split, number),
            'width': recipe['size'],
            'height': recipe['size'],
            'scene': scene_index(split, number),
        }
        for number in range(len(scenes))
    ]
    owned = [(i, thing) for i, objects in enumerate(scenes, 1) for thing in objects]
    annotations = [
        {
            'id': number,
            'image_id': image_id,
            'category_id': CLASSES.index(thing['category']) + 1,
            'bbox': thing['bbox'],
            'area': thing['bbox'][2] * thing['bbox'][3],
            'iscrowd': 0,
        }
        for number, (image_id, thing) in enumerate(owned, 1)
    ]
    description = f'{recipe["generator"]}, seed {recipe["seed"]}, {split}'
    return {
        'info': {'description': description},
        'licenses': [],
        'images': images,
        'annotations': annotations,
        'categories': [{'id': i, 'name': name} for i, name in enumerate(CLASSES, 1)],
    }
