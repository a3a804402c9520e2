"""Merge detections on the tiles of dota2coco.py to detections on whole scenes."""

import argparse
import os
from pathlib import Path

from sarl.conversion.merge import merge_files
from sarl.engine import launch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        '--tiles',
        required=True,
        default=argparse.SUPPRESS,
        type=Path,
        help='annotations.json of dota2coco.py',
    )
    parser.add_argument(
        '--dt',
        required=True,
        default=argparse.SUPPRESS,
        type=Path,
        help='COCO-format detections on the tiles',
    )
    parser.add_argument(
        '--out',
        required=True,
        default=argparse.SUPPRESS,
        type=Path,
        help='JSON file of detections to write',
    )
    parser.add_argument(
        '--iou',
        type=float,
        default=0.5,
        help='lowest IoU of one object in two tiles, where both see it',
    )
    parser.add_argument(
        '--dota', type=Path, help="folder for the files of DOTA's evaluation server"
    )
    parser.add_argument('--workers', type=int, default=os.cpu_count(), help='processes')
    args = parser.parse_args()
    scenes = args.tiles.parent / 'scenes.json'
    launch.check_output_file(args.out, '--out', (args.tiles, args.dt, scenes))
    if args.dota:
        launch.check_writable(args.dota, '--dota')
    on_tiles, on_scenes, count = merge_files(
        args.tiles, args.dt, args.out, args.iou, args.dota, args.workers
    )
    print(
        f'{args.out}: {on_scenes} detections on {count} scenes from {on_tiles} on '
        f'tiles; their ground truth is {scenes}'
    )


if __name__ == '__main__':
    launch.run_tool(main)
