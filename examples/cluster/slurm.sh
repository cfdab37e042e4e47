#!/bin/bash
# Several machines under Slurm. The run folder must lie on a disk that all of them see.
#
#   earwitness train lamb --check --out /shared/runs/lamb     # before the job waits in a queue: is all there?
#   sbatch --nodes 8 examples/cluster/slurm.sh lamb only=[pretrain] --out /shared/runs/lamb
#
# Five minutes before the time limit Slurm sends SIGUSR1: the step is finished, a checkpoint written, and the job
# put into the queue again, to go on from there. A job whose machine failed is put there by Slurm itself.
#SBATCH --job-name=earwitness
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=96
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -u

host=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
asked=
trap 'asked=yes; kill -USR1 "$step"' USR1 # srun hands it to every process of its step

# torchrun ignores the signal, for it would end the processes within 30 s; those that train handle it.
srun --kill-on-bad-exit=1 bash -c 'trap "" USR1; exec "$@"' torchrun torchrun \
  --nnodes "$SLURM_NNODES" --nproc-per-node gpu \
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$host:29500" \
  -m earwitness.cli.train "$@" &
step=$!
while kill -0 "$step" 2>/dev/null; do # a signal ends `wait` before the step has ended
  wait "$step"
  status=$?
done
[ -z "$asked" ] || scontrol requeue "$SLURM_JOB_ID"
exit "$status"
