#!/usr/bin/env bash
# Train on several GPUs, or with several processes on a machine without one.
#
#     dist_train.sh CONFIG GPUS [ARGUMENTS OF train.py...]
#
# On several nodes, run it on each with GPUS (per node), NNODES, NODE_RANK,
# MASTER_ADDR and PORT set: docs/running.md.
set -euo pipefail

if (($# < 2)); then
    echo "usage: $0 CONFIG GPUS [ARGUMENTS OF train.py...]" >&2
    exit 2
fi

tools=$(dirname -- "${BASH_SOURCE[0]}")
exec bash "$tools/dist_run.sh" "$2" "$tools/train.py" "$1" "${@:3}"
