import logging
import math
from pathlib import Path

import mmyolo
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmyolo.registry import MODELS

from sarl.necks.relays import (
    GateRelay,
    MixRelay,
    PickRelay,
    Relay,
    Resample,
    mix_channels,
    space_to_depth,
)
from sarl.necks.sarl import SARL

pytestmark = pytest.mark.usefixtures('mmyolo_scope')
CONFIGS = Path(__file__).parents[2] / 'configs'
NORM = dict(type='BN', momentum=0.03, eps=0.001)
ACT = dict(type='SiLU', inplace=True)
PAFPN = dict(
    type='YOLOv5PAFPN',
    in_channels=[256, 512, 1024],
    out_channels=[256, 512, 1024],
    deepen_factor=0.33,
    widen_factor=0.125,
    norm_cfg=NORM,
    act_cfg=ACT,
)
CHANNELS = [16, 32, 64, 128]
PROJECTION = dict(norm_cfg=NORM, act_cfg=ACT)
NO_GATES = dict(type='gate', gates='none')
# One of each relay, place, direction and way to resample.
SETTINGS = {
    'default': dict(),
    'mix': dict(relay=dict(type='mix')),
    'pick': dict(relay=dict(type='pick')),
    'no gates': dict(relay=NO_GATES),
    'spatial gate': dict(relay=dict(type='gate', gates='spatial')),
    'channel gate': dict(relay=dict(type='gate', gates='channel')),
    'after': dict(place='after'),
    'around': dict(place='around', towards='both'),
    'strided': dict(resample='strided_conv', towards='both'),
    'kernel of 3': dict(kernel_size=3, towards='both'),
    'pick by a kernel of 3': dict(kernel_size=3, relay=dict(type='pick')),
}
every_setting = pytest.mark.parametrize(
    'setting', SETTINGS.values(), ids=SETTINGS.keys()
)


def sarl(in_channels=(128, 256, 512, 1024), **kwargs):
    return SARL(list(in_channels), PAFPN, widen_factor=0.125, **kwargs)


def levels(height=96, width=128, batch=2):
    """Backbone levels of strides 4 to 32, of sizes rounded up as convolutions do."""
    result = []
    for index, channels in enumerate(CHANNELS):
        stride = 4 * 2**index
        size = (-(-height // stride), -(-width // stride))
        result.append(torch.randn(batch, channels, *size))
    return tuple(result)


def wake(model, std=1.0):
    """Give the relays' output projections random weights, as training does."""
    for module in model.modules():
        if isinstance(module, Relay):
            torch.nn.init.normal_(module.project.weight, std=std)
    return model


def test_space_to_depth_worked_by_hand():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    # 0 1 2      cells: (0 1 3 4) and (2 0 5 0), the last column being padded
    # 3 4 5
    result = space_to_depth(x, (1, 2))
    assert result.shape == (1, 4, 1, 2)
    assert result[0, :, 0, 0].tolist() == [0, 1, 3, 4]
    assert result[0, :, 0, 1].tolist() == [2, 0, 5, 0]
    # A backbone that rounds down loses its last column.
    assert space_to_depth(x, (1, 1))[0, :, 0, 0].tolist() == [0, 1, 3, 4]


@every_setting
@pytest.mark.parametrize('in_channels', [(128, 256, 512, 1024), (256, 512, 1024)])
def test_starts_as_the_plain_neck(in_channels, setting):
    kaiming = dict(type='Kaiming', layer='Conv2d')
    model = BaseModule(init_cfg=kaiming)
    model.neck = sarl(in_channels, init_cfg=kaiming, **setting)
    model.eval().init_weights()
    model = model.neck
    inputs = levels()[-len(in_channels) :]
    for ours, plain in zip(model(inputs), model.neck(inputs[-3:]), strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize('size', [(96, 128), (97, 131), (33, 40)])
@every_setting
def test_levels_keep_their_shapes(size, setting):
    inputs = levels(*size)
    model = wake(sarl(**setting).eval(), std=0.1)
    captured = []

    def neck(levels):
        captured.append(levels)
        return levels

    model.neck.forward = neck
    captured.append(model(inputs))
    for shown in captured:
        shapes = [tuple(level.shape) for level in shown]
        assert shapes == [tuple(level.shape) for level in inputs[1:]]
    # A batch of one gives what it gives in a batch.
    one = model([level[:1] for level in inputs])
    for alone, together in zip(one, model(inputs), strict=True):
        torch.testing.assert_close(alone, together[:1], rtol=1e-3, atol=1e-3)


def test_detail_is_relayed_from_level_to_level():
    """A change in one stride-4 cell reaches every coarser level, near its place."""
    model = wake(sarl().eval())
    captured = []
    model.neck.forward = captured.append
    inputs = levels(128, 128, batch=1)
    changed = [level.clone() for level in inputs]
    changed[0][0, :, 5, 9] += 10
    with torch.no_grad():
        model(inputs)
        model(tuple(changed))
    for level, (before, after) in enumerate(zip(*captured, strict=True), start=1):
        difference = (before - after).abs().sum(1)[0]
        row, column = divmod(int(difference.argmax()), difference.shape[1])
        assert difference.max() > 0
        # within the 7 x 7 cells of the spatial attention
        assert abs(row - (5 >> level)) <= 3
        assert abs(column - (9 >> level)) <= 3


def test_detail_is_relayed_towards_the_fine():
    """A change in one stride-32 cell reaches the stride-8 level, at its place."""
    model = wake(sarl((256, 512, 1024), towards='fine', relay=NO_GATES).eval())
    model.neck.forward = tuple
    inputs = levels(128, 128, batch=1)[1:]
    changed = [level.clone() for level in inputs]
    changed[2][0, :, 1, 2] += 10
    with torch.no_grad():
        difference = (model(inputs)[0] - model(changed)[0]).abs().sum(1)[0]
    rows, columns = difference.nonzero(as_tuple=True)
    assert set(rows.tolist()) == {4, 5, 6, 7}
    assert set(columns.tolist()) == {8, 9, 10, 11}


def test_behind_the_neck_detail_skips_it():
    model = wake(sarl(place='after', relay=NO_GATES).eval())
    inputs = levels(128, 128, batch=1)
    changed = [inputs[0].clone(), *inputs[1:]]
    changed[0][0, :, 5, 9] += 10
    with torch.no_grad():
        for level, (before, after) in enumerate(
            zip(model(inputs), model(changed), strict=True), start=1
        ):
            rows, columns = (before - after).abs().sum(1)[0].nonzero(as_tuple=True)
            assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
                (5 >> level, 9 >> level)
            }


def test_a_cell_picks_what_is_like_it():
    """Worked by hand: two channels, the query asks for the first one."""
    relay = PickRelay(2, 2, 2, 'space_to_depth', act_cfg=None)
    eye = torch.eye(2)[:, :, None, None]
    with torch.no_grad():
        for conv in (relay.detail.conv, relay.context.conv, relay.key, relay.query):
            conv.weight.copy_(eye)
            conv.bias.zero_()
        relay.project.weight.copy_(eye)
        fine = torch.tensor([[[[3.0, 1], [0, 2]], [[0, 5.0], [7, 0]]]])
        coarse = torch.tensor([[[[1.0]], [[0.0]]]])
        weights = torch.softmax(torch.tensor([3.0, 1, 0, 2]) / 2**0.5, 0)
        expected = [
            1 + (weights * torch.tensor([3.0, 1, 0, 2])).sum(),
            (weights * torch.tensor([0, 5.0, 7, 0])).sum(),
        ]
        torch.testing.assert_close(relay(fine, coarse).flatten(), torch.stack(expected))


def rows_seen(module, *others, size=8):
    """Tell which rows of the source the second row of the result depends on."""
    source = torch.randn(1, 4, size, size, requires_grad=True)
    module(source, *others)[0, :, 1, 1].sum().backward()
    return source.grad.abs().sum((0, 1, 3)).nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ('how', 'kernel', 'size', 'rows'),
    [
        ('space_to_depth', 1, 8, [2, 3]),
        ('space_to_depth', 3, 8, [0, 1, 2, 3, 4, 5]),
        ('strided_conv', 1, 8, [1, 2, 3]),
        # Where a backbone rounds up, the last cells are those that are made up.
        ('strided_conv', 1, 7, [1, 2, 3]),
    ],
)
def test_what_a_cell_sees_of_the_finer_level(how, kernel, size, rows):
    resample = Resample(4, 4, how, kernel, act_cfg=None)
    assert rows_seen(resample, (4, 4), size=size) == rows


@pytest.mark.parametrize(('kernel', 'rows'), [(1, [2, 3]), (3, [1, 2, 3, 4])])
def test_what_a_cell_picks_from(kernel, rows):
    relay = PickRelay(4, 8, 4, 'space_to_depth', kernel, act_cfg=None)
    wake(relay)
    assert rows_seen(relay, torch.randn(1, 8, 4, 4)) == rows


@pytest.mark.parametrize('resample', ['space_to_depth', 'strided_conv'])
def test_the_way_to_resample_is_that_of_all_relays(resample):
    model = sarl(resample=resample)
    hows = [m.how for m in model.modules() if isinstance(m, Resample)]
    assert hows == [resample] * 3


def test_context_and_detail_are_projected_alike():
    relay = GateRelay(4, 8, 4, 'space_to_depth', **PROJECTION)
    for projection in (relay.context, relay.detail.project):
        assert isinstance(projection.norm, torch.nn.BatchNorm2d)
        assert isinstance(projection.activate, torch.nn.SiLU)


def test_a_strided_convolution_worked_by_hand():
    """One that only passes the middle of its kernel on shows its grid."""
    resample = Resample(1, 1, 'strided_conv', act_cfg=None)
    with torch.no_grad():
        resample.project.conv.weight.zero_()
        resample.project.conv.weight[0, 0, 1, 1] = 1
        resample.project.conv.bias.zero_()
        odd = torch.arange(1.0, 10).reshape(1, 1, 3, 3)
        # Cells 0 and 2 of each side; a level that is one cell larger is filled at
        # the end.
        assert resample(odd, (2, 2)).flatten().tolist() == [1, 3, 7, 9]
        assert resample(odd, (3, 3))[0, 0].tolist() == [[1, 3, 0], [7, 9, 0], [0] * 3]


def test_channels_are_mixed_by_likeness():
    detail = torch.tensor([[[[3.0, 4]], [[0, 2.0]]]])
    context = torch.tensor([[[[0.0, 4]], [[4.0, 3]]]])
    # By hand: (3, 4) and (0, 1) are the detail's directions, after division by 5 and 2,
    # and (0, 1) and (4, 3) / 5 the context's.
    cosines = torch.tensor([[0.8, 1], [0.96, 0.6]])
    weights = torch.softmax(2 * cosines, dim=1)
    torch.testing.assert_close(
        mix_channels(detail, context, torch.tensor([2.0]))[0, :, 0],
        weights @ torch.tensor([[3.0, 4], [0, 2]]),
    )


def test_the_temperature_is_learned_as_a_power():
    relay = MixRelay(4, 8, 4, 'space_to_depth', act_cfg=None)
    torch.nn.init.constant_(relay.temperature.weight, 0.5)
    fine, coarse = torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4)
    detail, context = relay.detail(fine, (4, 4)), relay.context(coarse)
    expected = mix_channels(detail, context, torch.tensor([math.exp(0.5)]))
    torch.testing.assert_close(relay.select(fine, coarse), expected)


def test_a_channel_of_zeros_in_half_precision():
    features = torch.randn(1, 3, 8, 8).half()
    features[:, 1] = 0
    assert mix_channels(features, features, torch.ones(1)).isfinite().all()


def test_gates_are_those_of_the_formulas():
    """As docs/method.md writes them, each place and channel on its own."""
    relay = GateRelay(2, 3, 4, 'space_to_depth', act_cfg=None).double()
    for parameter in relay.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    source = torch.randn(1, 2, 6, 8, dtype=torch.float64)
    target = torch.randn(1, 3, 3, 4, dtype=torch.float64)
    detail = relay.detail(source, (3, 4))[0]
    context = relay.context(target)[0]

    planes = [detail.mean(0), detail.max(0)[0], context.mean(0), context.max(0)[0]]
    padded = torch.zeros(4, 9, 10, dtype=torch.float64)
    padded[:, 3:6, 3:7] = torch.stack(planes)
    first, _, second = relay.what
    squeezed = first.weight[..., 0, 0] @ torch.cat(
        [detail.mean((1, 2)), context.mean((1, 2))]
    )
    squeezed = squeezed + first.bias
    squeezed = squeezed / (1 + (-squeezed).exp())
    channel = second.weight[..., 0, 0] @ squeezed + second.bias
    expected = torch.empty_like(detail)
    for y in range(3):
        for x in range(4):
            window = padded[:, y : y + 7, x : x + 7]
            place = (window * relay.where.weight[0]).sum() + relay.where.bias[0]
            gates = 1 / (1 + (-place).exp()), 1 / (1 + (-channel).exp())
            expected[:, y, x] = detail[:, y, x] * gates[0] * gates[1]
    torch.testing.assert_close(relay.select(source, target)[0], expected)


@pytest.mark.parametrize('kind', [GateRelay, MixRelay, PickRelay])
def test_attention_is_decided_by_both_levels(kind):
    relay = kind(8, 16, 8, 'space_to_depth', **PROJECTION).eval()
    torch.nn.init.normal_(relay.project.weight)
    fine, coarse = torch.randn(1, 8, 16, 16), torch.randn(1, 16, 8, 8)
    message = relay(fine, coarse) - coarse
    other_coarse = coarse + torch.randn_like(coarse)
    assert not torch.allclose(relay(fine, other_coarse) - other_coarse, message)
    other_fine = fine + torch.randn_like(fine)
    assert not torch.allclose(relay(other_fine, coarse) - coarse, message)


@every_setting
def test_gradients_reach_every_parameter(setting):
    model = wake(sarl(**setting))
    sum(out.square().mean() for out in model(levels())).backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


@pytest.mark.parametrize(
    'name',
    ['yolov5_n-v61_{}1xb16-25e_scenes.py', 'yolov5_s-v61_{}8xb16-100e_aitod.py'],
)
def test_plain_checkpoint_loads_and_gives_the_plain_outputs(name, caplog):
    plain_cfg = Config.fromfile(CONFIGS / 'yolov5' / name.format('')).model
    ours_cfg = Config.fromfile(CONFIGS / 'yolov5' / name.format('sarl-sal_')).model
    check_plain_checkpoint(MODELS.build(plain_cfg), MODELS.build(ours_cfg), caplog)


def check_plain_checkpoint(plain, ours, caplog):
    """Load the plain detector's weights: the outputs are its own, before any step."""
    plain.init_weights()
    ours.init_weights()
    for buffer_name, buffer in plain.named_buffers():
        if buffer_name.endswith('running_var'):
            buffer.uniform_(0.5, 2)

    logger = logging.getLogger('checkpoint')
    with caplog.at_level(logging.WARNING, logger='checkpoint'):
        checkpoint = dict(state_dict=plain.state_dict())
        _load_checkpoint_to_model(ours, checkpoint, logger=logger)
    assert 'unexpected key' not in caplog.text
    missing = caplog.text.partition('missing keys in source state_dict: ')[2]
    assert missing
    assert all(
        key.strip().startswith('neck.before.')
        for key in missing.strip().split(', ')
        if key
    )

    image = torch.rand(1, 3, 128, 160)
    # With the statistics of the batch: by those of the start features fade to nothing
    # on their way, and any two outputs would be equal.
    with torch.no_grad():
        expected = plain.train()(image, mode='tensor')
        result = ours.train()(image, mode='tensor')
    for ours_outputs, plain_outputs in zip(result, expected, strict=True):
        torch.testing.assert_close(ours_outputs, plain_outputs, rtol=0, atol=1e-6)
    assert max(level.std() for kind in expected for level in kind) > 1e-2


@pytest.mark.parametrize('out_indices', [(1, 2, 3, 4), (2, 3, 4)])
def test_plain_yolox_checkpoint_loads_and_gives_the_plain_outputs(out_indices, caplog):
    folder = Path(mmyolo.__file__).parent / '.mim/configs/yolox'
    cfg = Config.fromfile(folder / 'yolox_tiny_fast_8xb8-300e_coco.py').model
    plain = MODELS.build(cfg)
    cfg.backbone.out_indices = out_indices
    cfg.neck = dict(
        type='SARL',
        in_channels=[2 ** (6 + index) for index in out_indices],
        widen_factor=cfg.neck.widen_factor,
        neck=cfg.neck,
    )
    check_plain_checkpoint(plain, MODELS.build(cfg), caplog)


@every_setting
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast(dtype, setting):
    model, inputs = wake(sarl(**setting), std=0.1), levels()
    expected = model(inputs)
    with torch.autocast('cpu', dtype):
        outputs = model(inputs)
    sum(out.float().square().mean() for out in outputs).backward()
    for out, full in zip(outputs, expected, strict=True):
        assert out.dtype == dtype
        torch.testing.assert_close(out.float(), full, rtol=0.1, atol=0.1)
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name


@every_setting
def test_channels_last(setting):
    model, inputs = wake(sarl(**setting), std=0.1).eval(), levels()
    expected = model(inputs)
    model = model.to(memory_format=torch.channels_last)
    outputs = model([x.to(memory_format=torch.channels_last) for x in inputs])
    for out, plain in zip(outputs, expected, strict=True):
        assert out.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(out, plain, rtol=1e-3, atol=1e-3)


def awake_relay():
    """A relay with weights of the size that training gives, and levels of odd sizes."""
    relay = GateRelay(16, 32, 8, 'space_to_depth', **PROJECTION).eval()
    torch.nn.init.normal_(relay.project.weight, std=0.1)
    return relay, (torch.randn(1, 16, 25, 33), torch.randn(1, 32, 13, 17))


def test_compiled():
    relay, inputs = awake_relay()
    with torch.no_grad():
        out = torch.compile(relay, fullgraph=True)(*inputs)
        torch.testing.assert_close(out, relay(*inputs), rtol=1e-4, atol=1e-4)


@every_setting
def test_every_setting_is_one_graph(setting):
    """Captured whole, with its gradients; the compiler itself is slow, and torch's."""
    torch.compiler.reset()
    model, inputs = wake(sarl(**setting), std=0.1), levels()
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    for run in (model, compiled):
        model.zero_grad()
        outputs = run(inputs)
        sum(out.square().mean() for out in outputs).backward()
        found = [*outputs, *(parameter.grad for parameter in model.parameters())]
        if run is model:
            expected = [value.clone() for value in found]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_onnx_gives_the_same(tmp_path):
    relay, inputs = awake_relay()
    check_onnx(relay, inputs, tmp_path / 'relay.onnx')


@every_setting
def test_onnx_of_every_setting_gives_the_same(setting, tmp_path):
    model, inputs = wake(sarl(**setting), std=0.1).eval(), levels(batch=1)
    check_onnx(model, (inputs,), tmp_path / 'sarl.onnx')


def check_onnx(model, arguments, path):
    torch.onnx.export(model, arguments, str(path), dynamo=False)
    session = onnxruntime.InferenceSession(path)
    inputs = arguments if len(arguments) > 1 else arguments[0]
    names = [node.name for node in session.get_inputs()]
    feed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
    with torch.no_grad():
        expected = model(*arguments)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for out, eager in zip(session.run(None, feed), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(out), eager, rtol=0, atol=1e-4)


def test_own_checkpoint_round_trip():
    first, second = wake(sarl()), sarl()
    second.load_state_dict(first.state_dict())
    for name, value in second.state_dict().items():
        assert torch.equal(value, first.state_dict()[name])


def test_levels_must_fit():
    with pytest.raises(ValueError, match='in_channels'):
        sarl((512, 1024))
    with pytest.raises(ValueError, match='out_indices'):
        sarl()(levels()[1:])


@pytest.mark.parametrize('towards', ['coarse', 'fine'])
def test_levels_must_be_neighbours(towards):
    """Else the rest of a level would be cut off: strides 4, 16 and 32 here."""
    plain = dict(type='mmdet.FPN', in_channels=[8, 8, 8], out_channels=8, num_outs=3)
    model = SARL([8, 8, 8], plain, towards=towards)
    inputs = [torch.rand(1, 8, side, side) for side in (32, 8, 4)]
    with pytest.raises(ValueError, match=r'not \(\d+, \d+\) and .*every stride'):
        model(inputs)


NECKS = {
    'YOLOv5PAFPN': dict(out_channels=[256, 512, 1024], widen_factor=0.25),
    'YOLOv6RepPAFPN': dict(out_channels=[128, 256, 512], widen_factor=0.25),
    'YOLOv8PAFPN': dict(out_channels=[256, 512, 1024], widen_factor=0.25),
    'YOLOXPAFPN': dict(out_channels=256, widen_factor=0.25),
    'PPYOLOECSPPAFPN': dict(out_channels=[192, 384, 768], widen_factor=0.25),
    'CSPNeXtPAFPN': dict(out_channels=256, widen_factor=0.25),
    'mmdet.FPN': dict(out_channels=100, num_outs=5),
    'mmdet.YOLOXPAFPN': dict(out_channels=96),
}


@pytest.mark.parametrize('place', ['before', 'after', 'around'])
@pytest.mark.parametrize('name', NECKS)
def test_around_any_neck(name, place):
    """Of four levels the finest one only gives."""
    channels = [128, 256, 512, 1024]
    neck = dict(type=name, in_channels=channels[1:], **NECKS[name])
    factor = neck.get('widen_factor', 1.0)
    model = wake(SARL(channels, neck, widen_factor=factor, place=place), std=0.1)
    inputs = [torch.rand(2, int(c * factor), 8192 // c, 8192 // c) for c in channels]
    handed_on = []
    model.neck.register_forward_pre_hook(lambda _, args: handed_on.append(args[0]))
    outputs = model(inputs)
    assert torch.equal(handed_on[0][0], inputs[1]) == (place == 'after')
    plain = model.neck(inputs[1:])
    assert [out.shape for out in outputs] == [out.shape for out in plain]
    assert not torch.equal(outputs[0], plain[0])
    sum(out.square().mean() for out in outputs).backward()
    for key, parameter in model.named_parameters():
        assert key.startswith('neck.') or parameter.grad.any(), key


def test_channels_of_any_number():
    """HRNet's, which are no multiples of 8."""
    channels = [18, 36, 72, 144]
    neck = dict(type='mmdet.FPN', in_channels=channels, out_channels=20, num_outs=4)
    model = wake(SARL(channels, neck, place='around'))
    outputs = model([torch.rand(1, c, 576 // c, 576 // c) for c in channels])
    assert [out.shape[1] for out in outputs] == [20] * 4


@pytest.mark.parametrize('towards', ['coarse', 'fine', 'both'])
@pytest.mark.parametrize(
    'span',
    [
        # As FCOS and ATSS use it.
        dict(start_level=1, add_extra_convs='on_output', num_outs=5),
        dict(end_level=2, num_outs=3),
    ],
)
def test_levels_that_a_neck_skips_get_no_relay(towards, span):
    """Idle parameters stop distributed training."""
    neck = dict(type='mmdet.FPN', in_channels=CHANNELS, out_channels=16, **span)
    model = wake(SARL(CHANNELS, neck, towards=towards, place='around'))
    sum(out.square().mean() for out in model(levels())).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_necks_that_do_not_fit():
    bfp = dict(type='mmdet.BFP', in_channels=256, num_levels=3)
    for neck in (bfp, [PAFPN, bfp]):
        with pytest.raises(ValueError, match='first of a list of necks'):
            SARL([256, 512, 1024], neck)
    # It returns twice what its config tells.
    neck = dict(PAFPN, type='YOLOv7PAFPN', out_channels=[128, 256, 512])
    del neck['deepen_factor']
    model = SARL([256, 512, 1024], neck, widen_factor=0.125, place='after')
    with pytest.raises(ValueError, match=r'YOLOv7PAFPN returns .*place=.before'):
        model(levels()[1:])
    # It takes its levels from the coarsest, and returns them so.
    neck = dict(type='mmdet.YOLOV3Neck', num_scales=3)
    neck.update(in_channels=[32, 16, 8], out_channels=[16, 8, 4])
    model = SARL([8, 16, 32], neck, place='after')
    inputs = [torch.rand(1, 8 * 2**i, 32 >> i, 32 >> i) for i in range(3)]
    with pytest.raises(ValueError, match=r"coarsest level first takes place='before'"):
        model(inputs)


def test_a_neck_that_leaves_the_number_of_its_levels_open():
    neck = dict(type='mmdet.ChannelMapper', in_channels=[8, 16], out_channels=8)
    model = SARL([8, 16], dict(neck, num_outs=None), place='after')
    assert len(model([torch.rand(1, 8, 8, 8), torch.rand(1, 16, 4, 4)])) == 2


def test_unknown_settings():
    with pytest.raises(ValueError, match="place is .*'behind'"):
        sarl(place='behind')
    with pytest.raises(ValueError, match="towards is .*'down'"):
        sarl(towards='down')
    with pytest.raises(ValueError, match="no relay 'torch'"):
        sarl(relay=dict(type='torch'))
    with pytest.raises(ValueError, match="gates are .*'all'"):
        sarl(relay=dict(gates='all'))
    with pytest.raises(ValueError, match="gates are .*'all'"):
        sarl(relay=dict(type='gate', gates='all'))
    with pytest.raises(ValueError, match="resample is .*'mean'"):
        Resample(4, 4, 'mean')
    with pytest.raises(ValueError, match='kernel_size is odd, not 2'):
        sarl(kernel_size=2)
    with pytest.raises(ValueError, match='kernel_size is odd, not 2'):
        sarl(kernel_size=2, relay=dict(type='pick'))
    with pytest.raises(ValueError, match='has a kernel of its own'):
        sarl(kernel_size=3, resample='strided_conv')
    with pytest.raises(ValueError, match='pick needs'):
        sarl(relay=dict(type='pick'), towards='both')
    with pytest.raises(ValueError, match="'fine' has no use for 1 of the levels"):
        sarl(towards='fine')
    with pytest.raises(ValueError, match='no out_channels'):
        SARL([256, 512], dict(type='mmdet.HRFPN', in_channels=[9, 9]), place='after')
