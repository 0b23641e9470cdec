#!/bin/bash
# Two machines of eight GPUs each, queued again when time is over or a rank is lost:
#   sbatch configs/hardware/slurm.sh runs/mine --config configs/grounding/grpo.yaml --config configs/hardware/gpu8_ddp_lora.yaml
#SBATCH --job-name=vrft_pl
#SBATCH --nodes=2                  # trainer.num_nodes
#SBATCH --ntasks-per-node=8        # trainer.devices: SLURM starts each process
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=SIGUSR1@600       # ten minutes before the end: longer than one optimizer step and a checkpoint
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out

MOST_RESTARTS=20
LOST=(3 137)                       # a rank that is lost, as the others say it, and one that was killed itself
folder=$1
shift

# one task that ends badly ends all: none of them waits for a rank that is gone
srun --kill-on-bad-exit=1 vrft_pl fit "$@" --trainer.num_nodes "$SLURM_NNODES" --trainer.devices "$SLURM_NTASKS_PER_NODE" \
    --run.folder "$folder" --resume
code=$?

for lost in "${LOST[@]}"; do
    if [ "$code" -eq "$lost" ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$MOST_RESTARTS" ]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
done
exit "$code"
