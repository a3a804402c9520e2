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
from mmengine.config import Config, ConfigDict

from sarl.analysis import costs_of_configs
from sarl.engine.launch import run_tool
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
        widen_factor=model.backbone.widen_factor,
        neck=model.neck,
    )


def p2_head(model: ConfigDict) -> None:
    """Give the detector a head of stride 4, fed by a neck of four levels."""
    model.backbone.out_indices = (1, 2, 3, 4)
    channels = [128, *model.neck.in_channels]
    head = model.bbox_head
    strides = [4, *head.head_module.get('featmap_strides', (8, 16, 32))]
    head.head_module.featmap_strides = strides
    if head.type == 'YOLOXHead':
        # MMYOLO's neck is written for three levels, MMDetection's for any number.
        factor = model.neck.widen_factor
        model.neck = ConfigDict(
            type='mmdet.YOLOXPAFPN',
            in_channels=[int(factor * c) for c in channels],
            out_channels=int(factor * model.neck.out_channels),
            num_csp_blocks=round(3 * model.neck.deepen_factor),
        )
        head.prior_generator = dict(
            type='mmdet.MlvlPointGenerator', offset=0, strides=strides
        )
        return
    model.neck.update(in_channels=channels, out_channels=channels)
    head.head_module.in_channels = channels
    anchors = [STRIDE_4_ANCHORS, *head.prior_generator.base_sizes]
    head.prior_generator.update(strides=strides, base_sizes=anchors)
    head.obj_level_weights = [4.0, *head.obj_level_weights]


def p2_head_and_sarl(model: ConfigDict) -> None:
    """Relay from stride 4 on into a neck and head that have that level too."""
    p2_head(model)
    sarl_from_stride_4(model)


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


CHANGES = {
    '': plain,
    ' + SARL from stride 8': sarl_from_stride_8,
    ' + SARL from stride 4': sarl_from_stride_4,
    ' + P2 head': p2_head,
    ' + P2 head + SARL': p2_head_and_sarl,
}


def config(name: str, change: Callable[[ConfigDict], None]) -> Config:
    cfg = Config.fromfile(CONFIGS / FILES[name])
    change(cfg.model)
    return cfg


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        '--models', nargs='+', choices=FILES, default=['YOLOv5-n', 'YOLOv5-s']
    )
    parser.add_argument('--size', type=int, default=640, help='side of the image in px')
    parser.add_argument('--repeats', type=int, default=20, help='timed passes')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    warnings.filterwarnings('ignore')  # of deprecations in what we depend on
    logging.disable(logging.WARNING)  # FLOP counters tell each operator they skip
    table = markdown_table(['', 'parameters', 'GFLOPs', 'ms'])
    for name in args.models:
        changes = CHANGES | ({} if name.startswith('YOLOv5') else {' + BFP': bfp})
        cfgs = [config(name, change) for change in changes.values()]
        costs = np.array(
            [
                (cost.parameters, cost.flops, cost.ms)
                for cost in costs_of_configs(cfgs, args.size, repeats=args.repeats)
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
    run_tool(main)
