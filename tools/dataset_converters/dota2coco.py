"""Cut a split of DOTA-v2.0 into tiles with a COCO-format file."""

import argparse
import os
from pathlib import Path

from sarl.conversion.dota import FORMATS, convert
from sarl.conversion.tiling import Tiling
from sarl.engine import launch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        'source',
        metavar='SRC',
        type=Path,
        help='folder with images/ and, unless it is a test set, labelTxt/',
    )
    parser.add_argument(
        '--out',
        required=True,
        default=argparse.SUPPRESS,
        type=Path,
        help='folder to write',
    )
    parser.add_argument('--patch', type=int, default=1024, help='side of a tile in px')
    parser.add_argument(
        '--gap', type=int, default=200, help='what neighbouring tiles share, in px'
    )
    parser.add_argument(
        '--rates',
        type=float,
        nargs='+',
        default=[1.0],
        help='factors that the scenes are scaled by before they are cut',
    )
    parser.add_argument('--format', choices=FORMATS, default='png', help='of the tiles')
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes')
    args = parser.parse_args()
    tiling = Tiling(args.patch, args.gap, tuple(args.rates))
    launch.check_writable(args.out, '--out')
    counts = convert(args.source, args.out, tiling, args.format, args.workers)
    print(
        f'{args.out}: {counts.tiles} tiles of {counts.scenes} scenes, '
        f'{counts.tile_objects} boxes of {counts.objects} objects'
    )
    if not counts.labelled:
        print(f'{args.source} has no labelTxt folder: tiles without annotations')
    if counts.in_no_tile:
        print(f'{counts.in_no_tile} objects are in no tile: each cuts too much off')
    if counts.without_area:
        print(f'{counts.without_area} objects left out: no area inside their image')


if __name__ == '__main__':
    launch.run_tool(main)
