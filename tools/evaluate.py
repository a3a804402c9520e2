"""Score detections in COCO's result format, of any framework."""

import argparse

from sarl.datasets.coco_file import BAD_BOXES
from sarl.engine import launch
from sarl.metrics.coco_protocol import BACKENDS
from sarl.metrics.score_files import METRICS, score_files


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--metric', required=True, choices=METRICS)
    parser.add_argument('--gt', required=True, help='COCO-format ground truth')
    parser.add_argument('--dt', required=True, help='COCO-format list of detections')
    parser.add_argument('--out', help='JSON file to write scores and protocol to')
    parser.add_argument(
        '--classwise', action='store_true', help='also the scores of each class'
    )
    parser.add_argument('--backend', choices=BACKENDS, default='faster_coco_eval')
    parser.add_argument(
        '--bad-boxes',
        choices=BAD_BOXES,
        default='keep',
        help='ground truth without area or outside its image: score it as it is, as '
        'the published codes do, clip it, or stop',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.out:
        launch.check_output_file(args.out, '--out', (args.gt, args.dt))
    score_files(
        args.metric,
        args.gt,
        args.dt,
        args.out,
        classwise=args.classwise,
        backend=args.backend,
        bad_boxes=args.bad_boxes,
    )


if __name__ == '__main__':
    launch.run_tool(main)
