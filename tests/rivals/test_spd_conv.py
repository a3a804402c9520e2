import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmyolo.registry import MODELS

import sarl.rivals  # noqa: F401

pytestmark = pytest.mark.usefixtures('mmyolo_scope')
CONFIG = ROOT / 'configs/yolov5/yolov5_n-v61_1xb16-25e_scenes.py'


def test_no_convolution_strides_and_the_levels_keep_their_shapes():
    backbone = Config.fromfile(CONFIG).model.backbone
    plain = MODELS.build(backbone)
    ours = MODELS.build(dict(type='spd_backbone', backbone=backbone))
    assert all(
        module.stride == (1, 1)
        for module in ours.modules()
        if isinstance(module, torch.nn.Conv2d)
    )
    image = torch.rand(2, 3, 64, 96)
    shapes = [[level.shape for level in model(image)] for model in (plain, ours)]
    assert shapes[0] == shapes[1]
    # What was not replaced loads from the plain backbone.
    missing, unexpected = ours.load_state_dict(plain.state_dict(), strict=False)
    assert len(missing) == len(unexpected) == 5
    assert all(key.endswith('.conv.1.weight') for key in missing)


def test_nothing_to_replace():
    with pytest.raises(ValueError, match='no strided ConvModule'):
        MODELS.build(
            dict(
                type='spd_backbone',
                backbone=dict(type='mmdet.ResNet', depth=18, frozen_stages=-1),
            )
        )
