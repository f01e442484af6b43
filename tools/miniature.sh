#!/usr/bin/env bash
# The paper in miniature: SVG-LP, SVG-FP and the deterministic baseline on one-digit Stochastic Moving MNIST at 32 px, on equal
# budgets, three seeds each; best of 100 samples on test digits; Figs. 3, 5, 6, 7. Interrupted, it continues where it stopped.
#
#   bash tools/miniature.sh [OUT] [flags of svg-tf train ...]     OUT: default runs/miniature
#   DIGITS_DIR=FOLDER   the four MNIST .gz files, if they should not be downloaded
#   SEEDS="0 1 2"       SPLIT=test (validation to choose settings)       SEQUENCES=256
. "$(dirname "$0")/setup_env.sh" plots
out=${1:-runs/miniature}
[ $# -eq 0 ] || shift
svg_tf=".venv/bin/svg-tf" seeds=${SEEDS:-0 1 2} split=${SPLIT:-test} digits=${DIGITS_DIR:-}
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3} PYTHONUNBUFFERED=1
mkdir -p "$out"

declare -A runs
for seed in $seeds; do
    for model in lp fp det; do
        preset=smmnist_mini
        [ $model = lp ] || preset=smmnist_mini_$model
        run=$out/$model-$seed
        runs[$model]+=${runs[$model]:+,}$run
        echo "== $run"
        $svg_tf train $preset --run-dir "$run" --train.seed "$seed" --data.moving-mnist.digits-dir "$digits" "$@"
        [ -e "$run/evaluation/report.json" ] ||
            $svg_tf evaluate "$run" --n-samples 100 --sequences "${SEQUENCES:-256}" --split "$split"
    done
done
first=${seeds%% *}
echo "== figures"
$svg_tf figures "$out/lp-$first" --deterministic "$out/det-$first" --split "$split" --out "$out/figures"
echo "== comparison (Fig. 7)"
$svg_tf compare "SVG-LP=${runs[lp]}" "SVG-FP=${runs[fp]}" "deterministic=${runs[det]}" --out "$out/comparison"
echo "Results: $out/comparison/comparison.md, $out/figures; watch: .venv/bin/tensorboard --logdir $out"
