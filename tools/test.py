"""Score a trained detector."""

import argparse

from sarl.engine import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='where the log goes')
    parser.add_argument(
        '--json-prefix',
        help='keep the detections as {prefix}.bbox.json, in COCO result format; the '
        'first of several evaluators writes them',
    )
    return launch.parse_args(parser)


def main() -> None:
    args = parse_args()
    cfg = launch.load_config(
        args.config, args.work_dir, args.cfg_options, args.launcher
    )
    if args.json_prefix:
        launch.check_output_file(f'{args.json_prefix}.bbox.json', '--json-prefix')
        evaluators = cfg.test_evaluator
        first = evaluators[0] if isinstance(evaluators, list) else evaluators
        first.outfile_prefix = args.json_prefix
    launch.test(cfg, args.checkpoint)


if __name__ == '__main__':
    launch.run_tool(main)
