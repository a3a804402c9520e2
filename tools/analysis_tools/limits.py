"""Tell what perfect boxes, perfect classes or nothing missed would bring in AP."""

import argparse

from sarl.analysis.limits import limits_of_files
from sarl.engine import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--gt', required=True, help='COCO-format ground truth')
    parser.add_argument('--dt', required=True, help='COCO-format list of detections')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(limits_of_files(args.gt, args.dt))


if __name__ == '__main__':
    launch.run_tool(main)
