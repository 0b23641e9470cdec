#!/usr/bin/env bash
# The 20 official one-shot runs: 20 drawings to learn from, one a character, and 20 by another hand to test on, once.
# Usage: one_shot.sh SEED, from the repository's root. Folders: runs/omniglot/SEED/runNN-{sft,test}.
set -euo pipefail
seed=$1
for folder in data/omniglot/runs/run*; do
    run=$(basename "$folder")
    mkdir -p "runs/omniglot/$seed"
    layer=runs/omniglot/$seed/$run.yaml
    cat > "$layer" <<YAML
data:
  init_args:
    classes: $folder/classes.txt
    train: {class_path: vrft_pl.data.LabelCSV, init_args: {path: $folder/train.csv, question: Which character is this?}}
    val: null
    test:
      test:
        class_path: vrft_pl.data.LabelCSV
        init_args: {path: $folder/test.csv, question: Which character is this?}
YAML
    out=runs/omniglot/$seed/$run
    vrft_pl fit --config experiments/omniglot/sft.yaml --config "$layer" --seed_everything "$seed" --run.folder "$out-sft"
    vrft_pl test --config experiments/omniglot/sft.yaml --config "$layer" --seed_everything "$seed" \
        --run.folder "$out-test" --model.policy.checkpoint "$out-sft/export"
done
