"""Convert a split of VisDrone2019-DET to COCO format."""

import argparse
import os
from pathlib import Path

from sarl.conversion.visdrone import convert
from sarl.engine import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'src',
        metavar='SRC',
        type=Path,
        help='folder of a split, with images and annotations',
    )
    parser.add_argument('--out', required=True, type=Path, help='JSON file to write')
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count(),
        help='processes, by default one for each CPU',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    launch.check_output_file(args.out, '--out')
    print(convert(args.src, args.out, args.workers))


if __name__ == '__main__':
    launch.run_tool(main)
