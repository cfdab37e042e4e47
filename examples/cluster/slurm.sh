#!/bin/bash
# Several machines under Slurm, a task for each GPU. The run folder must lie on a disk that all of them see.
#
#   earwitness train lamb --check --out /shared/runs/lamb     # before the job waits in a queue: is all there?
#   sbatch --nodes 8 examples/cluster/slurm.sh lamb only=[pretrain] --out /shared/runs/lamb
#
# Five minutes before the time limit Slurm sends SIGTERM to every task: the step is finished, a checkpoint written,
# and the job put into the queue again, to go on from there. A job whose machine failed is put there by Slurm.
# (Slurm signals its tasks alone, not what they start: torchrun would have to pass the signal on.)
#SBATCH --job-name=earwitness
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -u

STOPPED=143 # what the command ends with when it was asked to stop
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR MASTER_PORT=29500

srun --kill-on-bad-exit=1 bash -c '
  export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID
  export WORLD_SIZE=$SLURM_NTASKS LOCAL_WORLD_SIZE=$SLURM_NTASKS_PER_NODE
  exec python -m earwitness.cli.train "$@"' train "$@"
status=$?
[ "$status" -ne "$STOPPED" ] || scontrol requeue "$SLURM_JOB_ID"
exit "$status"
