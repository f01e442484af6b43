#!/usr/bin/env bash
# The paper in miniature: SVG-LP, SVG-FP and the deterministic baseline on one-digit Stochastic Moving MNIST at 32 px, on equal
# budgets, three seeds each; best of 100 samples on test digits; Figs. 3, 5, 6, 7. Interrupted, it continues where it stopped.
#
#   bash tools/miniature.sh [OUT] [flags of svg-tf train ...]     OUT: default runs/miniature
#   DIGITS_DIR=FOLDER   the four MNIST .gz files, if they should not be downloaded
#   SEEDS="0 1 2"       SPLIT=test (validation to choose settings)       SEQUENCES=256
#   JOBS=2              runs at a time, each on its share of the cores: models this small do 1.4 times the work in two
#                       processes on a core each than in one on two cores. With one GPU: JOBS=1
. "$(dirname "$0")/setup_env.sh" plots
out=${1:-runs/miniature}
[ $# -eq 0 ] || shift
seeds=${SEEDS:-0 1 2}
jobs=${JOBS:-2} split=${SPLIT:-test} sequences=${SEQUENCES:-256} digits=${DIGITS_DIR:-} svg_tf=".venv/bin/svg-tf"
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3} PYTHONUNBUFFERED=1
if [ "$jobs" -gt 1 ]; then
    share=$(($(nproc) / jobs))
    export TF_NUM_INTRAOP_THREADS=$((share > 1 ? share : 1)) TF_NUM_INTEROP_THREADS=$((share > 1 ? share : 1))
fi
mkdir -p "$out"

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT # the others, if one fails

one_run() { # RUN PRESET SEED [flags]: trains and evaluates, its lines marked with the run's name
    local run=$1 preset=$2 seed=$3
    shift 3
    {
        $svg_tf train "$preset" --run-dir "$run" --train.seed "$seed" --data.moving-mnist.digits-dir "$digits" "$@"
        [ -e "$run/evaluation/report.json" ] ||
            $svg_tf evaluate "$run" --n-samples 100 --sequences "$sequences" --split "$split"
    } 2>&1 | sed -u "s|^|$(basename "$run"): |"
}

declare -A runs
for seed in $seeds; do
    for model in lp fp det; do
        preset=smmnist_mini
        [ $model = lp ] || preset=smmnist_mini_$model
        runs[$model]+=${runs[$model]:+,}$out/$model-$seed
        while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
        one_run "$out/$model-$seed" "$preset" "$seed" "$@" &
    done
done
while [ -n "$(jobs -rp)" ]; do wait -n; done
first=${seeds%% *}
echo "figures"
$svg_tf figures "$out/lp-$first" --deterministic "$out/det-$first" --split "$split" --out "$out/figures"
echo "comparison (Fig. 7)"
$svg_tf compare "SVG-LP=${runs[lp]}" "SVG-FP=${runs[fp]}" "deterministic=${runs[det]}" --out "$out/comparison"
echo "Results: $out/comparison/comparison.md, $out/figures; watch: .venv/bin/tensorboard --logdir $out"
