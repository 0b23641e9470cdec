#!/usr/bin/env bash
# The commands of docs/ten_minutes.md, in an empty folder:
#   .../docs/ten_minutes.sh FOLDER [--key value ...]
# FOLDER holds train.json and test.json (COCO) and images/. What follows goes to every run.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
photographs=$(cd "$1" && pwd)
shift

vrft_pl convert "$photographs/train.json" --image_root "$photographs/images" \
    --output photographs/train.jsonl --held_out photographs/val.jsonl
vrft_pl convert "$photographs/test.json" --image_root "$photographs/images" --output photographs/test.jsonl
sed "s#IMAGES#$photographs/images#" "$here/docs/photographs.yaml" >photographs.yaml
sft=(--config "$here/configs/grounding/sft.yaml" --config photographs.yaml)
grpo=(--config "$here/configs/grounding/grpo.yaml" --config photographs.yaml)

vrft_pl check "${sft[@]}" --run.folder runs/check "$@"
vrft_pl fit "${sft[@]}" --run.folder runs/sft "$@"
vrft_pl fit "${grpo[@]}" --run.folder runs/grpo --model.policy.checkpoint runs/sft/export "$@"
vrft_pl test "${grpo[@]}" --run.folder runs/test --model.policy.checkpoint runs/grpo/export "$@"
vrft_pl predict --images "$photographs/images" --problem 'Locate the king.' --run.folder runs/king \
    --model.policy.checkpoint runs/grpo/export
vrft_pl report runs
