"""Print what SARL costs beside the plain neck, a P2 head and BFP.

Parameters, FLOPs (of one forward pass; MMEngine counts a multiplication and addition as
one) and time of a forward pass of random weights, in one run: the models of a size take
turns, so that whatever else the machine does falls on all of them alike.
"""

import argparse
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

# On the forks MMYOLO can only be imported after it.
import sarl  # noqa: F401  # isort: skip
import mmyolo
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmyolo.registry import MODELS
from torch import nn

from sarl.analysis import count_parameters, flops, forward_ms
from sarl.markdown import markdown_table

CONFIGS = Path(mmyolo.__file__).parent / '.mim/configs'
FILES = {
    **{
        f'YOLOv5-{size}': f'yolov5/yolov5_{size}-v61_syncbn_fast_8xb16-300e_coco.py'
        for size in 'nsmlx'
    },
    'YOLOX-tiny': 'yolox/yolox_tiny_fast_8xb8-300e_coco.py',
    **{f'YOLOX-{s}': f'yolox/yolox_{s}_fast_8xb8-300e_coco.py' for s in 'smlx'},
}
STRIDE_4_ANCHORS = [(5, 6), (8, 14), (15, 11)]


def plain(model: ConfigDict) -> None:
    """Leave the detector as it is."""


def sarl_from_stride_8(model: ConfigDict) -> None:
    """Relay between the three levels that the neck takes."""
    relay(model, out_indices=(2, 3, 4))


def sarl_from_stride_4(model: ConfigDict) -> None:
    """Relay from stride 4 on."""
    relay(model, out_indices=(1, 2, 3, 4))


def relay(model: ConfigDict, out_indices: tuple[int, ...]) -> None:
    model.backbone.out_indices = out_indices
    model.neck = dict(
        type='SARL',
        in_channels=[64 * 2**index for index in out_indices],
        widen_factor=model.neck.widen_factor,
        neck=model.neck,
    )


def p2_head(model: ConfigDict) -> None:
    """Give YOLOv5 a head of stride 4, fed by a neck of four levels."""
    model.backbone.out_indices = (1, 2, 3, 4)
    channels = [128, *model.neck.in_channels]
    model.neck.update(in_channels=channels, out_channels=channels)
    strides = [4, *model.bbox_head.prior_generator.strides]
    model.bbox_head.head_module.update(in_channels=channels, featmap_strides=strides)
    anchors = [STRIDE_4_ANCHORS, *model.bbox_head.prior_generator.base_sizes]
    model.bbox_head.prior_generator.update(strides=strides, base_sizes=anchors)
    model.bbox_head.obj_level_weights = [4.0, *model.bbox_head.obj_level_weights]


def bfp(model: ConfigDict) -> None:
    """Put MMDetection's BFP behind YOLOX's neck, whose levels have equal channels."""
    model.neck = [
        model.neck,
        dict(
            type='mmdet.BFP',
            in_channels=int(model.neck.out_channels * model.neck.widen_factor),
            num_levels=3,
            refine_level=1,
            refine_type='non_local',
        ),
    ]


def build(name: str, change: Callable[[ConfigDict], None]) -> nn.Module:
    model = Config.fromfile(CONFIGS / FILES[name]).model
    change(model)
    return MODELS.build(model).eval()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        '--models', nargs='+', choices=FILES, default=['YOLOv5-n', 'YOLOv5-s']
    )
    parser.add_argument('--size', type=int, default=640, help='side of the image in px')
    parser.add_argument('--repeats', type=int, default=20, help='timed passes')
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    warnings.filterwarnings('ignore')  # of deprecations in what we depend on
    logging.disable(logging.WARNING)  # FLOP counters tell each operator they skip
    init_default_scope('mmyolo')
    table = markdown_table(['', 'parameters', 'GFLOPs', 'ms'])
    for name in args.models:
        changes = {
            '': plain,
            ' + SARL from stride 8': sarl_from_stride_8,
            ' + SARL from stride 4': sarl_from_stride_4,
        }
        if name.startswith('YOLOv5'):
            changes[' with a P2 head'] = p2_head
        else:
            changes[' + BFP'] = bfp
        models = [build(name, change).to(args.device) for change in changes.values()]
        image = torch.rand(1, 3, args.size, args.size, device=args.device)
        costs = np.transpose(
            [
                [count_parameters(model) for model in models],
                [flops(model, image) for model in models],
                forward_ms(models, image, args.repeats),
            ]
        )
        for kind, cost in zip(changes, costs, strict=True):
            more = 100 * (cost / costs[0] - 1)
            shown = f'{cost[0]:,.0f}', f'{cost[1] / 1e9:.2f}', f'{cost[2]:.1f}'
            if kind:
                shown = [f'{a} ({b:+.1f} %)' for a, b in zip(shown, more, strict=True)]
            table.add_row([name + kind, *shown])
    print(table)


if __name__ == '__main__':
    main()
