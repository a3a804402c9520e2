"""Fit YOLOv5's anchors to the objects of a COCO-format file.

Prints lines for the config, and the share of objects that these anchors and COCO's
reach: as they are, and at half their size, as augmentation shrinks them at most.
"""

import argparse
from collections.abc import Callable

from sarl.analysis import anchors
from sarl.engine import launch


def positive(kind: type) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f'must be above 0, not {text}')
        return value

    parse.__name__ = kind.__name__  # argparse names what it cannot read by it
    return parse


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('annotations', help='COCO-format file of the training data')
    parser.add_argument(
        '--levels', type=positive(int), default=3, help='levels of the head'
    )
    parser.add_argument(
        '--per-level', type=positive(int), default=3, help='anchors of a level'
    )
    parser.add_argument(
        '--scale',
        type=positive(float),
        default=1.0,
        help='size of the training image, as a fraction of the original',
    )
    parser.add_argument(
        '--threshold',
        type=positive(float),
        default=anchors.THRESHOLD,
        help='prior_match_thr of the head',
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    sizes = args.scale * anchors.object_sizes(args.annotations)
    fitted = anchors.fit_anchors(sizes, args.levels, args.per_level, args.seed)
    print(anchors.anchors_lines(fitted), end='\n\n')
    sets = {'these': fitted, "COCO's": anchors.coco_anchors()}
    print(anchors.reach_table(sizes, sets, args.threshold))


if __name__ == '__main__':
    launch.run_tool(main)
