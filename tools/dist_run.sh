#!/usr/bin/env bash
# Start the processes of one node with torchrun; the other scripts call it.
#
#     dist_run.sh PROCESSES SCRIPT [ARGUMENTS...]
#
# NNODES, NODE_RANK, MASTER_ADDR and PORT are those of torchrun. One node alone takes
# a free port unless PORT is set, so that several runs share a machine.
set -euo pipefail

processes=$1
shift
nodes=${NNODES:-1}

if ! [[ $processes =~ ^[1-9][0-9]*$ ]]; then
    echo "error: '$processes' is no number of processes (GPUs)" >&2
    exit 2
fi

if [[ $nodes == 1 && -z ${PORT:-} ]]; then
    meeting=(--standalone)
else
    meeting=(
        --nnodes="$nodes"
        --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}"
        --master_port="${PORT:-29500}"
    )
fi

# torchrun's own choice, without its warning.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# exec: a signal to this script reaches torchrun, which ends all processes.
exec python -m torch.distributed.run \
    "${meeting[@]}" --nproc_per_node="$processes" "$@" --launcher pytorch
