"""The configs that there must be, and how to read them fast."""

import copy
import functools
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from mmengine.config import Config

ROOT = Path(__file__).parents[2] / 'configs'
DATA = ('aitod', 'aitodv2', 'dotav2', 'visdrone')
OURS = ('', 'sarl', 'sal', 'sarl-sal')
ANCHORS = ('', 'tiny-anchors')
YOLOV5 = dict(folder='yolov5', components=OURS, schedule='8xb16-100e')
YOLOV5_S = dict(YOLOV5, components=(*OURS, 'p2', 'p2-sarl-sal'))
YOLOX = dict(folder='yolox', components=OURS, schedule='8xb8-100e')
FAMILIES = {
    **{f'yolov5_{size}-v61': YOLOV5 for size in 'nsmlx'},
    'yolov5_s-v61': YOLOV5_S,
    **{f'yolox_{size}': YOLOX for size in ('tiny', *'smlx')},
    'faster-rcnn_r50_fpn': dict(
        folder='faster_rcnn',
        components=(
            *ANCHORS,
            'tiny-anchors-sarl',
            'tiny-anchors-giou',
            'tiny-anchors-giou-sal',
            'tiny-anchors-giou-sarl-sal',
        ),
    ),
    'cascade-rcnn_r50_fpn': dict(folder='cascade_rcnn', components=ANCHORS),
    'retinanet_r50_fpn': dict(folder='retinanet', components=ANCHORS),
    'atss_r50_fpn': dict(
        folder='atss',
        components=(*ANCHORS, *(f'tiny-anchors-{ours}' for ours in OURS[1:])),
    ),
    'fcos_r50_fpn_gn-head': dict(folder='fcos', components=OURS),
    'dino-4scale_r50': dict(folder='dino', components=('',)),
    'rtmdet_s': dict(folder='rtmdet', components=OURS, schedule='8xb32-100e'),
}

# By folder, so that a config that should not be there is found.
PATHS = {
    path.stem: path
    for folder in sorted({settings['folder'] for settings in FAMILIES.values()})
    for path in sorted((ROOT / folder).glob('*.py'))
}


def stem(family: str, components: str, data: str) -> str:
    schedule = FAMILIES[family].get('schedule', '8xb2-12e')
    return '_'.join(filter(None, (family, components, schedule, data)))


ZOO = {
    stem(family, components, data): (family, components, data)
    for family, settings in FAMILIES.items()
    for components, data in itertools.product(settings['components'], DATA)
}
SCENES = ('yolov5_n-v61_1xb16-25e_scenes', 'yolov5_n-v61_sarl-sal_1xb16-25e_scenes')

_parse = Config._file2dict
_parsed = {}


def _parse_once(filename, *args, **kwargs):
    """Share what configs inherit: parsing it anew would be most of the time."""
    key = Path(filename).resolve()
    if key not in _parsed:
        _parsed[key] = _parse(filename, *args, **kwargs)
    return copy.deepcopy(_parsed[key])


@functools.cache
def load(name: str) -> Config:
    """Read a config, once; it must not be changed."""
    with patch.object(Config, '_file2dict', _parse_once):
        return Config.fromfile(PATHS[name])


def functional(cfg: Config) -> dict:
    """What a config does, without the variables that it is made of."""
    loaders = [f'{split}_dataloader' for split in ('train', 'val', 'test')]
    keys = (
        *('model', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'sync_bn'),
        *(*loaders, 'val_evaluator', 'test_evaluator', 'train_cfg'),
        *('default_hooks', 'custom_hooks', 'custom_imports', 'default_scope'),
    )
    return {key: copy.deepcopy(cfg[key]) for key in keys if key in cfg}


def as_text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def walk(node: object) -> Iterator[tuple[str | None, object]]:
    """Yield each key with its value, of all depths; items of lists without key."""
    items = node.items() if isinstance(node, dict) else ((None, v) for v in node)
    for key, value in items:
        yield key, value
        if isinstance(value, dict | list | tuple):
            yield from walk(value)
