"""docs/configs.md: its example runs, and what it names is there."""

import re
import shutil
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmyolo.registry import MODELS
from zoo import FAMILIES, PATHS, ROOT, SCENES, ZOO

import sarl  # noqa: F401

DOCS = ROOT.parent / 'docs/configs.md'


def test_a_data_set_and_a_size_of_your_own(tmp_path):
    configs = tmp_path / 'configs'
    shutil.copytree(ROOT, configs)
    text = DOCS.read_text()
    row, *blocks = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    table = configs / '_base_/datasets.py'
    head, tail = table.read_text().split('settings = dict(\n')
    first, *row, last = row.splitlines(keepends=True)
    assert first + last == 'settings = dict(\n)\n'
    table.write_text(f'{head}{first}{"".join(row)}{tail}')
    names = re.findall(r'`configs/(yolov5/\S+_boats\.py)`', text)
    assert len(names) == len(blocks) == 3
    for name, block in zip(names, blocks, strict=True):
        (configs / name).write_text(block)
    cfgs = [Config.fromfile(configs / name) for name in names]
    for cfg in cfgs:
        assert cfg.train_dataloader.dataset.type == 'TinyCocoDataset'
        assert cfg.val_evaluator.ann_file == 'data/boats/annotations/val.json'
        head = cfg.model.bbox_head
        # 0.5 * 2 / 80, and 640 px are the base's own
        assert head.loss_cls.loss_weight == 0.0125
        assert head.loss_obj.loss_weight == 1
    init_default_scope('mmyolo')
    sizes = [
        sum(p.numel() for p in MODELS.build(cfg.model).parameters()) for cfg in cfgs
    ]
    assert sizes[1] < sizes[2] < sizes[0]
    assert cfgs[2].model.neck.type == 'SARL'
    assert cfgs[2].model.bbox_head.type == 'SALYOLOv5Head'


def test_what_it_names_is_there():
    text = DOCS.read_text()
    assert f'{len(PATHS)} configs' in text
    for target in re.findall(r'\]\((\.\./[^)]+)\)', text):
        assert (DOCS.parent / target).exists(), target
    for path in re.findall(r'\bconfigs/\S+?\.py\b', text):
        assert Path(ROOT.parent, path).exists() or '_boats' in path, path
    for settings in FAMILIES.values():
        assert f'../configs/{settings["folder"]})' in text
    assert len(PATHS) == len(ZOO) + len(SCENES)
