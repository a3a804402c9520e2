"""Score a trained detector."""

import argparse
import os

from mmengine.config import DictAction

from sarl.engine import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='where the log goes')
    parser.add_argument(
        '--json-prefix',
        help='keep the detections as {prefix}.bbox.json, in COCO result format',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings that replace those of the config, as key.subkey=value',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch passes it; torchrun sets the variable instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    cfg = launch.load_config(
        args.config, args.work_dir, args.cfg_options, args.launcher
    )
    if args.json_prefix:
        cfg.test_evaluator.outfile_prefix = args.json_prefix
    launch.test(cfg, args.checkpoint)


if __name__ == '__main__':
    launch.run_tool(main)
