"""List all mistakes of a COCO-format data set, and count what it holds.

Ends with status 0 if there are no errors (warnings may be), else with 1.
"""

import argparse
import os
import sys
from pathlib import Path

from sarl.conversion.check import check_dataset, named_paths
from sarl.conversion.statistics import draw_images, plot_statistics
from sarl.engine import launch
from sarl.files import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'annotations',
        nargs='+',
        metavar='[NAME=]FILE',
        help='COCO-format file of each split; without NAME, the split is called as '
        'the file',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        required=True,
        metavar='DIR',
        help='folder of the images: one for all splits, or one each in their order',
    )
    parser.add_argument('--out', type=Path, help='JSON file to write everything to')
    parser.add_argument(
        '--plots', type=Path, metavar='DIR', help='folder to write a figure a split to'
    )
    parser.add_argument(
        '--draw',
        type=int,
        default=0,
        metavar='N',
        help='also draw the boxes of N images a split, in drawn/ of the --plots folder',
    )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count(),
        help='processes that read images (default: one a CPU)',
    )
    args = parser.parse_args()
    if args.draw and not args.plots:
        parser.error('--draw needs --plots')
    return args


def main() -> None:
    args = parse_args()
    if args.out:
        files = named_paths(args.annotations).values()
        launch.check_output_file(args.out, '--out', files)
    if args.plots:
        launch.check_writable(args.plots, '--plots')
    report = check_dataset(args.annotations, args.images, args.workers)
    if args.out:
        write_json(args.out, report.as_dict(), indent=2)
    print(report.as_text())
    if args.plots:
        for split, statistics in report.statistics.items():
            plot_statistics(statistics, split, args.plots / f'{split}.png')
    if args.draw:
        for split, rows in report.drawable.items():
            folder = report.sources[split][1]
            draw_images(rows, folder, args.draw, args.plots / 'drawn' / split)
    sys.exit(int(report.errors > 0))


if __name__ == '__main__':
    launch.run_tool(main)
