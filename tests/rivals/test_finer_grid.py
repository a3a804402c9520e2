import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmyolo.registry import MODELS

import sarl.rivals  # noqa: F401

pytestmark = pytest.mark.usefixtures('mmyolo_scope')
CONFIG = ROOT / 'configs/yolov5/yolov5_n-v61_1xb16-25e_scenes.py'


@pytest.fixture
def necks():
    """A neck of four levels, and the one that makes the first of them itself."""
    neck = Config.fromfile(CONFIG).model.neck
    channels = [128, *neck.in_channels]
    neck = dict(neck, in_channels=channels, out_channels=channels)
    built = [MODELS.build(dict(neck, type=t)) for t in (neck['type'], 'FinerGridPAFPN')]
    for module in built:
        module.eval()
    return built


def backbone_levels():
    return tuple(
        torch.rand(2, channels, size, size)
        for channels, size in ((64, 8), (128, 4), (256, 2))
    )


def test_the_neck_runs_on_the_made_level_and_keeps_its_keys(necks):
    plain, ours = necks
    missing, unexpected = ours.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(key.startswith('finer.') for key in missing)

    levels = backbone_levels()
    made = ours.finer(levels[0])
    assert made.shape == (2, 32, 16, 16)
    for level, expected in zip(ours(levels), plain((made, *levels)), strict=True):
        assert torch.equal(level, expected)


def test_a_cell_of_the_made_level_sees_one_cell_of_the_finest(necks):
    finest = backbone_levels()[0].requires_grad_()
    necks[1].finer(finest)[0, :, 5, 2].sum().backward()
    assert finest.grad[0].abs().sum(0).nonzero().tolist() == [[2, 1]]
