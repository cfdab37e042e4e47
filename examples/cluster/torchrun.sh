#!/bin/sh
# One machine with several GPUs. A worker that dies takes the others down; torchrun starts all of them again, at
# most three times, and they go on from the last checkpoint.
#
#   sh examples/cluster/torchrun.sh lamb only=[pretrain] --out runs/lamb
set -eu
exec torchrun --standalone --nproc-per-node "${GPUS:-gpu}" --max-restarts 3 -m earwitness.cli.train "$@"
