"""What CUDAGraphHook does around a capture; the capture itself: tests/test_gpu.py."""

import pytest
import torch
from conftest import runner_of
from torch import nn

from sarl.engine import CUDAGraphHook
from sarl.errors import InputError


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_one_shape_is_replayed_and_others_are_computed(replays):
    model, plain = Detector(), Detector()
    plain.load_state_dict(model.state_dict())
    hook = CUDAGraphHook()
    hook.before_train(runner_of(model))
    batches = [torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8), torch.rand(2, 3, 8, 8)]
    for batch in batches:
        torch.testing.assert_close(model.backbone(batch), plain.backbone(batch))
    assert replays == [(4, 3, 8, 8)] * 2
    model.backbone.eval()(batches[0])
    with torch.no_grad():
        model.backbone.train()(batches[0])
    assert len(replays) == 2
    hook.after_train(runner_of(model))
    assert 'forward' not in vars(model.backbone)
    assert torch.is_autocast_cache_enabled()


def test_warming_up_leaves_statistics_alone(replays):
    model, plain = Detector(), Detector()
    plain.load_state_dict(model.state_dict())
    CUDAGraphHook().before_train(runner_of(model))
    batch = torch.rand(4, 3, 8, 8)
    model.backbone(batch)
    plain.backbone(batch)
    torch.testing.assert_close(dict(model.named_buffers()), dict(plain.named_buffers()))


def test_a_cpu_is_left_alone():
    model = Detector()
    if not torch.cuda.is_available():
        CUDAGraphHook().before_train(runner_of(model, accumulate=2))
        assert 'forward' not in vars(model.backbone)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(accumulate=2), 'accumulative_counts=1'),
        (dict(workers=2), 'num_workers=0 or pin_memory=False'),
    ],
)
def test_what_breaks_a_graph_is_refused(replays, settings, message):
    with pytest.raises(InputError, match=message):
        CUDAGraphHook().before_train(runner_of(Detector(), **settings))
