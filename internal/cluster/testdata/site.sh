#!/bin/bash
#SBATCH --job-name='llem-batch size'
#SBATCH --array=0-3%4
#SBATCH --partition=gpu
#SBATCH --account=abc
#SBATCH --qos=normal
#SBATCH --constraint='h100&nvlink'
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gres=gpu:h100:4
#SBATCH --time=04:00:00
#SBATCH --signal=B:INT@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output='/shared/my results/batch-20261129T120000Z/jobs/%A_%a.out'
#SBATCH --mail-type=END

# A worker takes runs from the folder of the study until none is left. Any number of workers may start or
# end at any time: what a lost one had in hand is measured again by another.
module load cuda; module load llem
export TMPDIR="${SLURM_TMPDIR:-${TMPDIR:-/tmp}}"
exec /opt/llem/bin/llem run '/home/a/it'\''s.yaml' -s execution.cycles=3 -s 'sweep.where=batch < 8' --worker="slurm-${SLURM_ARRAY_JOB_ID}-${SLURM_ARRAY_TASK_ID}-${SLURM_RESTART_COUNT:-0}" --output='/shared/my results/batch-20261129T120000Z' --plain
