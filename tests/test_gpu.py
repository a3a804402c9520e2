"""SARL and SAL on a GPU give what they give on a CPU."""

import copy
from pathlib import Path

import pytest
import torch
from conftest import runner_of
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmyolo.registry import MODELS

from sarl.engine import CUDAGraphHook
from sarl.losses.sal import FORMS, SAL
from sarl.necks.relays import GateRelay, Relay
from sarl.necks.sarl import SARL

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a GPU that PyTorch can use'
)

CONFIGS = Path(__file__).parents[1] / 'configs'
CHANNELS = [16, 32, 64, 128]
FPN = dict(type='mmdet.FPN', in_channels=CHANNELS[1:], out_channels=24, num_outs=3)
SETTINGS = {
    'gate': dict(),
    'pick': dict(relay=dict(type='pick')),
    'mix': dict(relay=dict(type='mix')),
    'strided convolution': dict(resample='strided_conv', towards='both'),
    'around the neck': dict(place='around', kernel_size=3),
}
every_setting = pytest.mark.parametrize(
    'setting', SETTINGS.values(), ids=SETTINGS.keys()
)


def neck(setting):
    model = SARL(CHANNELS, FPN, **setting)
    for module in model.modules():
        if isinstance(module, Relay):
            torch.nn.init.normal_(module.project.weight, std=0.05)
    return model


def levels(dtype=torch.float32):
    """Odd sizes, as strides 4 to 32 give for 97 x 131 px."""
    sizes = [(25, 33), (13, 17), (7, 9), (4, 5)]
    return [
        torch.randn(2, channels, *size, dtype=dtype)
        for channels, size in zip(CHANNELS, sizes, strict=True)
    ]


def results(model, inputs):
    """Outputs and gradients, on the CPU."""
    outputs = model(inputs)
    sum(out.square().mean() for out in outputs).backward()
    return [value.cpu() for value in (*outputs, *(p.grad for p in model.parameters()))]


@every_setting
@pytest.mark.parametrize('memory_format', ['contiguous_format', 'channels_last'])
def test_outputs_and_gradients_of_the_neck(setting, memory_format):
    model, inputs = neck(setting).double(), levels(torch.float64)
    layout = dict(memory_format=getattr(torch, memory_format))
    on_gpu = copy.deepcopy(model).to('cuda', **layout)
    found = results(on_gpu, [level.to('cuda', **layout) for level in inputs])
    torch.testing.assert_close(found, results(model, inputs), rtol=1e-4, atol=1e-6)


@every_setting
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast(setting, dtype):
    model, inputs = neck(setting), levels()
    expected = model(inputs)
    model.cuda()
    with torch.autocast('cuda', dtype):
        outputs = model([level.cuda() for level in inputs])
    sum(out.float().square().mean() for out in outputs).backward()
    for out, full in zip(outputs, expected, strict=True):
        assert out.dtype == dtype
        torch.testing.assert_close(out.float().cpu(), full, rtol=0.1, atol=0.1)
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name


def test_compiled():
    relay = GateRelay(16, 32, 8, 'space_to_depth').eval()
    torch.nn.init.normal_(relay.project.weight, std=0.1)
    fine, coarse = levels()[:2]
    with torch.no_grad():
        expected = relay(fine, coarse)
        compiled = torch.compile(relay.cuda(), fullgraph=True)
        out = compiled(fine.cuda(), coarse.cuda()).cpu()
    # TF32 may multiply on a GPU.
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('reference', [16.0, 'adaptive'])
def test_loss_and_its_gradient(form, reference):
    size = 2 ** (1 + 6 * torch.rand(50, 2, dtype=torch.float64))
    target = torch.cat([torch.zeros_like(size), size], dim=1)
    pred = target + 0.1 * size.repeat(1, 2) * torch.randn_like(target)
    found = {}
    for device in ('cpu', 'cuda'):
        loss = SAL(dict(type='mmdet.GIoULoss'), form=form, reference=reference)
        loss.to(device)
        boxes = pred.detach().to(device).requires_grad_()
        value = loss(boxes, target.to(device))
        value.backward()
        found[device] = [
            part.cpu() for part in (value, boxes.grad, *loss.state_dict().values())
        ]
    torch.testing.assert_close(found['cuda'], found['cpu'], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize('bfloat16', [False, True])
def test_training_by_graphs(bfloat16, monkeypatch):
    """The same losses and statistics as without; the last batch is smaller."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    init_default_scope('mmyolo')
    config = CONFIGS / 'yolov5' / 'yolov5_n-v61_sarl-sal_1xb16-25e_scenes.py'
    cfg = Config.fromfile(config).model
    start = MODELS.build(cfg)
    start.init_weights()
    found = []
    for hook in (None, CUDAGraphHook()):
        model = copy.deepcopy(start).cuda().train()
        optimizer = torch.optim.SGD(model.parameters(), 0.001)
        runner = runner_of(model)
        if hook:
            hook.before_train(runner)
        losses = []
        for step, size in enumerate((4, 4, 4, 4, 2)):
            torch.manual_seed(step)
            data = model.data_preprocessor(batch(size), training=True)
            with torch.autocast('cuda', torch.bfloat16, enabled=bfloat16):
                loss, _ = model.parse_losses(model(**data, mode='loss'))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if hook:
            assert 'forward' in vars(model.neck)
            hook.after_train(runner)
        found.append((losses, {k: v.cpu() for k, v in model.state_dict().items()}))
    (plain, expected), (graphed, state) = found
    # By the last step rounding has grown in what has few positions to average over.
    torch.testing.assert_close(graphed, plain, rtol=1e-2, atol=0)
    if not bfloat16:
        torch.testing.assert_close(state, expected, rtol=1e-2, atol=1e-3)


def batch(size):
    """Images of 128 px with three objects each, as YOLOv5's collate function packs."""
    corners = 100 * torch.rand(size, 3, 2)
    boxes = torch.cat([corners, corners + 4 + 20 * torch.rand(size, 3, 2)], dim=2)
    rows = [
        torch.tensor([image, 0, *box])
        for image, of_image in enumerate(boxes.tolist())
        for box in of_image
    ]
    return dict(
        inputs=torch.randint(0, 256, (size, 3, 128, 128), dtype=torch.uint8),
        data_samples=dict(
            bboxes_labels=torch.stack(rows),
            img_metas=[dict(batch_input_shape=(128, 128))] * size,
        ),
    )
