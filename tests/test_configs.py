from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmyolo.registry import MODELS

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').rglob('*.py'))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path):
    """Each config trains a step, and its caps fit tiny objects and its metric."""
    cfg = Config.fromfile(path)
    init_default_scope('mmyolo')
    gpus, batch = path.stem.split('_')[-2].split('-')[0].split('xb')
    assert cfg.train_dataloader.batch_size == int(batch)
    assert int(gpus) >= 1
    assert f'-{cfg.train_cfg.max_epochs}e_' in path.stem
    assert cfg.default_hooks.param_scheduler.max_epochs == cfg.train_cfg.max_epochs
    for split in ('val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        evaluator = cfg[f'{split}_evaluator']
        assert evaluator.ann_file == dataset.data_root + dataset.ann_file
    assert cfg.model.test_cfg.max_per_img == 1500

    head = cfg.model.bbox_head
    assert head.loss_cls.loss_weight == pytest.approx(0.5 * 8 / 80)
    smallest = min(
        min(anchor) for level in head.prior_generator.base_sizes for anchor in level
    )
    # An anchor takes objects down to a quarter of its size.
    assert smallest / 4 <= 2

    model = MODELS.build(cfg.model)
    data = dict(
        inputs=torch.randint(0, 255, (2, 3, 96, 96), dtype=torch.uint8),
        data_samples=dict(
            bboxes_labels=torch.tensor(
                [[0, 3, 10.0, 10, 12, 12], [1, 7, 40, 30, 60, 50]]
            )
        ),
    )
    inputs = model.data_preprocessor(data, training=True)
    losses = model(**inputs, mode='loss')
    assert losses.keys() == {'loss_cls', 'loss_obj', 'loss_bbox'}
    sum(loss.sum() for loss in losses.values()).backward()
    assert all(loss.isfinite().all() and loss > 0 for loss in losses.values())
