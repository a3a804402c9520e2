#!/usr/bin/env bash
# Train on a Slurm cluster.
#
#     slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [ARGUMENTS OF train.py...]
#
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5, for each GPU) and SRUN_ARGS are
# variables: docs/running.md.
set -euo pipefail

if (($# < 3)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG [WORK_DIR] [ARGUMENTS OF train.py...]" >&2
    exit 2
fi

tools=$(dirname -- "${BASH_SOURCE[0]}")
# sbatch runs a copy, far from the other scripts.
if [[ ! -f $tools/slurm_run.sh ]]; then
    echo "error: call this by its path in a batch script for sbatch: docs/running.md" >&2
    exit 2
fi
arguments=("${@:4}")
if [[ -n ${4:-} && $4 != -* ]]; then
    arguments=(--work-dir "$4" "${@:5}")
fi
exec bash "$tools/slurm_run.sh" "$1" "$2" "$tools/train.py" "$3" "${arguments[@]}"
