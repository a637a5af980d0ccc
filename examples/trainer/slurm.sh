#!/bin/bash
# sbatch examples/trainer/slurm.sh CONFIG.yaml [overrides]
#SBATCH --job-name=vos
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4     # one per GPU: trainer.devices in slurm.yaml
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=12      # data.init_args.num_workers
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@120       # two minutes before the limit: save, exit, queue again
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log

config=$1
shift
srun vos-lightning fit --config "$config" --config examples/trainer/slurm.yaml --ckpt_path last "$@"
code=$?
# 128 + SIGUSR1: the run has saved its state and wants to go on
if [ "$code" -eq 138 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
