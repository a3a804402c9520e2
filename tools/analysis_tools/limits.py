"""Tell what perfect boxes, perfect classes or nothing missed would bring in AP."""

import argparse
from pathlib import Path

from sarl.analysis.limits import limits_of_files, limits_table
from sarl.engine import launch
from sarl.files import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--gt', required=True, help='COCO-format ground truth')
    parser.add_argument('--dt', required=True, help='COCO-format list of detections')
    parser.add_argument('--out', help='JSON file to write the scores to, as fractions')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.out:
        launch.check_output_file(args.out, '--out', (args.gt, args.dt))
    scores = limits_of_files(args.gt, args.dt)
    if args.out:
        write_json(Path(args.out), scores, indent=2)
    print(limits_table(scores))


if __name__ == '__main__':
    launch.run_tool(main)
