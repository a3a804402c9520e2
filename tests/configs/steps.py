"""What it takes to give a config's model one step."""

import copy

import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmyolo.datasets import yolov5_collate
from mmyolo.registry import MODELS as MMYOLO_MODELS

SIDE = 128


def build(cfg: Config) -> torch.nn.Module:
    """Build from a fixed seed: no test depends on what ran before it."""
    torch.manual_seed(0)
    init_default_scope(cfg.default_scope)
    registry = MMYOLO_MODELS if cfg.default_scope == 'mmyolo' else MMDET_MODELS
    return registry.build(copy.deepcopy(cfg.model))


def sample(labels=(0, 5)):
    """An image with two objects, and a region to ignore in its corner."""
    image = torch.randint(0, 255, (3, SIDE, SIDE), dtype=torch.uint8)
    size = (SIDE, SIDE)
    data_sample = DetDataSample(
        gt_instances=InstanceData(
            bboxes=torch.tensor([[40.0, 40, 48, 50], [60, 64, 92, 90]]),
            labels=torch.tensor(labels),
        ),
        ignored_instances=InstanceData(
            bboxes=torch.tensor([[100.0, 100, 128, 128]]), labels=torch.tensor([0])
        ),
    )
    data_sample.set_metainfo(
        dict(img_id=1, ori_shape=size, img_shape=size, scale_factor=(1.0, 1.0))
    )
    return dict(inputs=image, data_samples=data_sample)


def collate(cfg: Config, samples: list[dict]) -> dict:
    """Batch as the config does."""
    if cfg.train_dataloader.get('collate_fn') != dict(type='yolov5_collate'):
        return pseudo_collate(samples)
    for one in samples:
        truth = one['data_samples'].gt_instances
        truth.bboxes = HorizontalBoxes(truth.bboxes)
    return yolov5_collate(samples)
