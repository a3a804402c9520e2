"""Write sarl's embedded data set of drawn aerial scenes, in COCO format."""

import argparse
from pathlib import Path

from sarl.datasets.scenes import make_scenes
from sarl.engine import launch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('out', metavar='OUT', type=Path, help='folder to write')
    parser.add_argument('--train', type=int, default=800, help='training scenes')
    parser.add_argument('--val', type=int, default=200, help='validation scenes')
    parser.add_argument('--seed', type=int, default=0, help='what the scenes show')
    parser.add_argument('--size', type=int, default=320, help='image side in px')
    parser.add_argument('--workers', type=int, default=2, help='processes')
    args = parser.parse_args()
    make_scenes(**vars(args))
    print(f'{args.out}: {args.train} scenes to train, {args.val} to validate')


if __name__ == '__main__':
    launch.run_tool(main)
