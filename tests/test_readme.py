import re
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmyolo.registry import MODELS

README = (Path(__file__).parents[1] / 'README.md').read_text()


def test_the_config_of_the_readme_builds_and_trains(tmp_path):
    (code,) = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
    path = tmp_path / 'mine.py'
    path.write_text(code)
    cfg = Config.fromfile(path)
    assert cfg.train_dataloader.collate_fn == dict(type='yolov5_collate')
    init_default_scope('mmyolo')
    model = MODELS.build(cfg.model)
    data = dict(
        inputs=torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8),
        data_samples=dict(bboxes_labels=torch.tensor([[0, 3, 10.0, 10, 22, 22]])),
    )
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    sum(loss.sum() for loss in losses.values()).backward()


def test_paths_that_the_readme_names_exist():
    for target in re.findall(r'\]\(([^)]+)\)', README):
        if '://' not in target:
            assert (Path(__file__).parents[1] / target).exists(), target
