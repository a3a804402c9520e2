"""Fit YOLOv5's anchors to the objects of a COCO-format file.

Prints lines for the config, and the share of objects that these anchors and COCO's
reach: as they are, and at half their size, as augmentation shrinks them at most.
"""

import argparse

from sarl.analysis import anchors
from sarl.engine import launch
from sarl.errors import InputError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('annotations', help='COCO-format file of the training data')
    parser.add_argument('--levels', type=int, default=3, help='levels of the head')
    parser.add_argument('--per-level', type=int, default=3, help='anchors of a level')
    parser.add_argument(
        '--scale',
        type=float,
        default=1.0,
        help='size of the training image, as a fraction of the original',
    )
    parser.add_argument(
        '--threshold',
        type=float,
        default=anchors.THRESHOLD,
        help='prior_match_thr of the head',
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    for option in ('levels', 'per_level', 'scale'):
        if not getattr(args, option) > 0:
            name = option.replace('_', '-')
            raise InputError(f'--{name} must be above 0.')
    sizes = args.scale * anchors.object_sizes(args.annotations)
    fitted = anchors.fit_anchors(sizes, args.levels, args.per_level, args.seed)
    print(anchors.anchors_line(fitted), end='\n\n')
    sets = {'these': fitted, "COCO's": anchors.coco_anchors()}
    print(anchors.reach_table(sizes, sets, args.threshold))


if __name__ == '__main__':
    launch.run_tool(main)
