#!/usr/bin/env bash
# Start a script on Slurm, one torchrun a node; the other scripts call it.
#
#     slurm_run.sh PARTITION JOB_NAME SCRIPT [ARGUMENTS...]
#
# GPUS (8), GPUS_PER_NODE (8, or GPUS if that is fewer) and CPUS_PER_TASK (5) say what
# to ask for, SRUN_ARGS what else srun is given, after all others. MASTER_ADDR and PORT
# are chosen unless set.
set -euo pipefail

# On each node, srun starts this script once more.
if [[ $1 == --node ]]; then
    shift
    if [[ -z ${MASTER_ADDR:-} ]]; then
        # The first of the nodes; all are read, as scontrol fails when cut off.
        mapfile -t hosts < <(scontrol show hostnames "$SLURM_STEP_NODELIST")
        MASTER_ADDR=${hosts[0]}
    fi
    # Jobs that share a node should not meet; ports from 32768 on are given out freely.
    if ((SLURM_STEP_NUM_NODES > 1)); then
        PORT=${PORT:-$((20000 + (SLURM_JOB_ID * 7 + SLURM_STEP_ID) % 12000))}
        export PORT
    fi
    export MASTER_ADDR NNODES=$SLURM_STEP_NUM_NODES NODE_RANK=$SLURM_NODEID
    exec bash "$(dirname -- "${BASH_SOURCE[0]}")/dist_run.sh" "$@"
fi

partition=$1 job_name=$2
shift 2
for name in GPUS GPUS_PER_NODE CPUS_PER_TASK; do
    if ! [[ ${!name:-1} =~ ^[1-9][0-9]*$ ]]; then
        echo "error: $name=${!name} is no number above 0" >&2
        exit 2
    fi
done
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
if ((gpus % per_node)); then
    echo "error: GPUS=$gpus is no multiple of GPUS_PER_NODE=$per_node" >&2
    exit 2
fi
nodes=$((gpus / per_node))

# Split as a shell would, quotes included.
if ! lines=$(xargs -r -n 1 printf '%s\n' <<<"${SRUN_ARGS:-}"); then
    echo "error: SRUN_ARGS=$SRUN_ARGS cannot be split into words" >&2
    exit 2
fi
mapfile -t srun_args < <(printf %s "$lines")

exec srun \
    --partition="$partition" \
    --job-name="$job_name" \
    --nodes="$nodes" \
    --ntasks="$nodes" \
    --ntasks-per-node=1 \
    --gres="gpu:$per_node" \
    --cpus-per-task="$((per_node * ${CPUS_PER_TASK:-5}))" \
    --kill-on-bad-exit=1 \
    "${srun_args[@]}" \
    bash "${BASH_SOURCE[0]}" --node "$per_node" "$@"
