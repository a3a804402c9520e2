#!/usr/bin/env bash
# Score a checkpoint on a Slurm cluster.
#
#     slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [ARGUMENTS OF test.py...]
#
# Variables as of slurm_train.sh.
set -euo pipefail

if (($# < 4)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [ARGUMENTS OF test.py...]" >&2
    exit 2
fi

tools=$(dirname -- "${BASH_SOURCE[0]}")
# sbatch runs a copy, far from the other scripts.
if [[ ! -f $tools/slurm_run.sh ]]; then
    echo "error: call this by its path in a batch script for sbatch: docs/running.md" >&2
    exit 2
fi
exec bash "$tools/slurm_run.sh" "$1" "$2" "$tools/test.py" "$3" "$4" "${@:5}"
