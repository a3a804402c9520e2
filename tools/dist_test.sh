#!/usr/bin/env bash
# Score a checkpoint with several processes.
#
#     dist_test.sh CONFIG CHECKPOINT GPUS [ARGUMENTS OF test.py...]
#
# On several nodes as dist_train.sh.
set -euo pipefail

if (($# < 3)); then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [ARGUMENTS OF test.py...]" >&2
    exit 2
fi

tools=$(dirname -- "${BASH_SOURCE[0]}")
exec bash "$tools/dist_run.sh" "$3" "$tools/test.py" "$1" "$2" "${@:4}"
