"""A grid file: one config, and the arms that differ from it.

A grid file is a config with one more setting:

    grid = dict(
        baseline='YOLOv5-n',            # the config as it is
        seeds=[0, 1, 2],
        held_out=dict(scene=['courts']),
        start='longer.py',              # optional
        arms={'YOLOv5-n + SAL': dict(model=dict(bbox_head=...))},
    )

An arm holds what differs, as a child config would, `_delete_` included. Arms start
from what the baseline's initialisation gives them; with `start`, a path from the grid
file, from the baseline of that other grid, trained with the same seed.
"""

import copy
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from ..datasets.coco_file import read_json
from ..engine.config_file import read_config
from ..errors import InputError
from ..files import write_whole

KEYS = {'baseline', 'seeds', 'held_out', 'start', 'arms'}


class Grid(NamedTuple):
    """Attributes:
    baseline (str): Name of the arm that the others are compared with.
    arms (dict[str, Config]): All of them, the baseline first.
    seeds (list[int]): With each of which every arm is trained.
    held_out (dict[str, list]): Which training images are kept for choosing: those
        whose field of that name in the annotation file has one of the values.
    start (Grid, optional): Its baseline, trained, is what all arms start from.
    """

    baseline: str
    arms: dict[str, Config]
    seeds: list[int]
    held_out: dict[str, list]
    start: 'Grid | None' = None


def read_grid(path: Path, seeds: Sequence[int] | None = None) -> Grid:
    """Read a grid file.

    Args:
        path (Path): The file.
        seeds (Sequence[int], optional): In place of those of the file.

    Raises:
        InputError: If the file cannot be read, see `read_config`, its `grid` is not as
            described above, its metric is not AITODMetric, whose scores the tables
            show, it or an arm has a `load_from`, or it starts from itself.
    """
    cfg = read_config(path)
    grid = cfg.pop('grid', None)
    if not isinstance(grid, dict) or not {'baseline', 'arms'} <= set(grid) <= KEYS:
        raise InputError(
            f'{path} needs grid=dict(baseline=..., seeds=[...], held_out=..., '
            f'arms={{...}}); it has {grid if grid is None else sorted(grid)}.'
        )
    metric = cfg.get('val_evaluator')
    kind = metric.get('type') if isinstance(metric, dict) else metric
    if str(kind).rpartition('.')[-1] != 'AITODMetric':
        raise InputError(
            f"{path}: a grid is scored by val_evaluator=dict(type='AITODMetric', ...), "
            f'alone, not by {kind}.'
        )
    seeds = list(grid.get('seeds', [0]) if seeds is None else seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f'{path}: seeds are different numbers, not {seeds}.')
    if grid['baseline'] in grid['arms']:
        raise InputError(f'{path}: the baseline {grid["baseline"]!r} is an arm too.')
    arms = {grid['baseline']: cfg}
    for name, difference in grid['arms'].items():
        arms[name] = copy.deepcopy(cfg)
        arms[name].merge_from_dict(copy.deepcopy(dict(difference)))
        if 'custom_imports' in difference:
            # As a config that is read does: a run counts for the code it imports.
            import_modules_from_strings(**arms[name].custom_imports)
        settings = arms[name].to_dict()
        if any(
            settings == other.to_dict() for key, other in arms.items() if key != name
        ):
            raise InputError(f'{path}: {name!r} does not differ from another arm.')
    for name, arm in arms.items():
        if arm.get('load_from'):
            raise InputError(
                f'{path}: load_from, of {name!r}, has no effect in a grid. For arms '
                f'that start from a checkpoint set '
                f"model=dict(init_cfg=dict(type='Pretrained', "
                f"checkpoint='{arm.load_from}')), from a baseline that is trained "
                f"first grid=dict(start='its_grid.py')."
            )
    held_out = dict(grid.get('held_out', {}))
    start = None
    if 'start' in grid:
        source = path.parent / grid['start']
        if source.resolve() == path.resolve():
            raise InputError(
                f'{path} starts from itself. Did it inherit grid.start from its base?'
            )
        start = read_grid(source, seeds)
        baseline = {start.baseline: start.arms[start.baseline]}
        start = start._replace(arms=baseline, held_out=held_out)
    return Grid(grid['baseline'], arms, seeds, held_out, start)


def use_held_out(grid: Grid, folder: Path) -> None:
    """Train on one part of the training set and score on the part that was held out.

    What the arms start from has not seen that part either.

    Args:
        grid (Grid): Its configs are changed in place.
        folder (Path): Gets a folder with the two annotation files, named for what is
            in them: other grids may split other data in the same folder.

    Raises:
        InputError: If a part would be empty.
    """
    if grid.start is not None:
        use_held_out(grid.start, folder)
    dataset = grid.arms[grid.baseline].train_dataloader.dataset
    source = Path(dataset.data_root, dataset.ann_file)
    parts = _split(read_json(source), grid.held_out, source)
    contents = {name: json.dumps(part).encode() for name, part in parts.items()}
    digest = hashlib.sha256(b''.join(contents.values())).hexdigest()[:8]
    folder = folder.resolve() / f'parts-{digest}'
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / 'parts.lock'):
        for name, content in contents.items():
            write_whole(folder / f'{name}.json', content)
    for cfg in grid.arms.values():
        train = cfg.train_dataloader.dataset
        train.ann_file = str(folder / 'kept.json')
        held_out = str(folder / 'held_out.json')
        for split in ('val', 'test'):
            scored = cfg[f'{split}_dataloader'].dataset
            scored.ann_file = held_out
            scored.data_root, scored.data_prefix = train.data_root, train.data_prefix
            cfg[f'{split}_evaluator'].ann_file = held_out


def _split(content: dict, held_out: dict[str, list], source: Path) -> dict[str, dict]:
    if len(held_out) != 1:
        raise InputError(
            'to choose on held-out images, the grid file needs one field of the '
            "images and its values, as held_out=dict(scene=['courts'])."
        )
    ((field, values),) = held_out.items()
    images = dict(kept=[], held_out=[])
    for image in content['images']:
        if field not in image:
            raise InputError(
                f'{source}: image {image["file_name"]} has no field {field!r}.'
            )
        images['held_out' if image[field] in values else 'kept'].append(image)
    if not all(images.values()):
        found = sorted({str(image[field]) for image in content['images']})
        raise InputError(
            f'{source}: held_out={held_out} leaves a part empty. Values of {field!r} '
            f'there: {", ".join(found[:20])}.'
        )
    parts = {}
    for name, chosen in images.items():
        ids = {image['id'] for image in chosen}
        annotations = [a for a in content['annotations'] if a['image_id'] in ids]
        parts[name] = {**content, 'images': chosen, 'annotations': annotations}
    return parts
