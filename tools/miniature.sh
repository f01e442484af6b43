#!/usr/bin/env bash
# The papers in miniature: models on equal budgets on Moving MNIST at 32 px (one digit of MNIST), three seeds each; best of 100
# samples on test digits; figures; paired comparison. Interrupted, it continues where it stopped.
#
#   bash tools/miniature.sh [svg|srvp|savp|sv2p|mmnist|spatial|keypoints|ablations] [OUT] [flags of svg-tf train ...]     OUT: default runs/miniature
#     svg      SVG-LP, SVG-FP and the deterministic baseline; Figs. 3, 5, 6, 7 (the default)
#     srvp     SVG-LP (the same runs), SRVP and its MLP and GRU transitions
#     savp     SVG-LP (the same runs), SAVP, its VAE and GAN, and its generator without latents
#     mmnist   deterministic Moving MNIST: SVG-LP, SVG without latents, SRVP, its MLP and GRU transitions, SRVP without z
#     sv2p     SVG-LP (the same runs), SV2P with one latent and with one a step, CDNA (SV2P without latents); Fig. 9
#     keypoints  SVG-LP (the same runs), SRVP and Struct-VRNN, with what its renderer alone reaches; keypoints over digits
#     ablations  Struct-VRNN, its ablations; SEEDS=0 for one run of each
#     spatial  SVG-LP and SRVP (the same runs), SVG with latents as maps
#   DIGITS_DIR=FOLDER   the four MNIST .gz files, if they should not be downloaded
#   SEEDS="0 1 2"       SPLIT=test (validation to choose settings)       SEQUENCES=256
#   ONCE="NAME ..."     models of the first seed alone, e.g. ONCE="sv2p-variant cdna"
#   EPOCHS=12           of 600 steps, for all models; phases, warm-ups and scheduled sampling shrink with them
#   JOBS=2              runs at a time, each on its share of the cores: models this small do 1.4 times the work in two
#                       processes on a core each than in one on two cores. With one GPU: JOBS=1
. "$(dirname "$0")/setup_env.sh" plots
case ${1:-svg} in # models: NAME=PRESET, labels in the comparison (differences between neighbours), the run that figures are drawn from
    svg) models="lp=smmnist_mini fp=smmnist_mini_fp det=smmnist_mini_det" labels="SVG-LP SVG-FP deterministic" drawn=lp ;;
    srvp)
        models="lp=smmnist_mini srvp=smmnist_mini_srvp srvp-gru=smmnist_mini_srvp_gru srvp-mlp=smmnist_mini_srvp_mlp"
        labels="SVG-LP SRVP SRVP-GRU SRVP-MLP" drawn=srvp
        ;;
    savp)
        models="lp=smmnist_mini savp=smmnist_mini_savp savp-gan=smmnist_mini_savp_gan savp-vae=smmnist_mini_savp_vae"
        models+=" savp-det=smmnist_mini_savp_det"
        labels="SVG-LP SAVP SAVP-GAN SAVP-VAE SAVP-det" drawn=savp
        ;;
    mmnist)
        models="mmnist-det=mmnist_mini_det mmnist-lp=mmnist_mini mmnist-srvp=mmnist_mini_srvp"
        models+=" mmnist-srvp-gru=mmnist_mini_srvp_gru mmnist-srvp-mlp=mmnist_mini_srvp_mlp mmnist-srvp-no-z=mmnist_mini_srvp_no_z"
        labels="SVG-det SVG-LP SRVP SRVP-GRU SRVP-MLP SRVP-without-z" drawn=mmnist-srvp
        ;;
    sv2p)
        models="lp=smmnist_mini sv2p=smmnist_mini_sv2p sv2p-variant=smmnist_mini_sv2p_variant cdna=smmnist_mini_sv2p_det"
        labels="SVG-LP SV2P SV2P-variant CDNA" drawn=sv2p
        ;;
    spatial)
        models="lp=smmnist_mini srvp=smmnist_mini_srvp spatial=smmnist_mini_spatial"
        labels="SVG-LP SRVP SVG-spatial" drawn=spatial
        ;;
    keypoints)
        models="lp=smmnist_mini srvp=smmnist_mini_srvp struct=smmnist_mini_struct_vrnn"
        labels="SVG-LP SRVP Struct-VRNN" drawn=struct
        ;;
    ablations)
        models="struct=smmnist_mini_struct_vrnn struct-det=smmnist_mini_struct_vrnn_det struct-cnn=smmnist_mini_struct_vrnn_cnn"
        models+=" struct-no-separation=smmnist_mini_struct_vrnn_no_separation struct-no-sparsity=smmnist_mini_struct_vrnn_no_sparsity"
        models+=" struct-one-sample=smmnist_mini_struct_vrnn_one_sample"
        labels="Struct-VRNN Struct-RNN CNN-VRNN no-separation no-sparsity one-sample" drawn=struct
        ;;
    *) echo "tools/miniature.sh: the set must be svg, srvp, savp, sv2p, mmnist, spatial, keypoints or ablations, got $1" >&2; exit 2 ;;
esac
set_name=${1:-svg} out=${2:-runs/miniature}
shift $(($# < 2 ? $# : 2))
seeds=${SEEDS:-0 1 2} once=${ONCE:-} epochs=${EPOCHS:-}
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
    local own=()
    if [ -n "$epochs" ]; then # the presets' phases are those of 12 epochs
        own=(--train.epochs "$epochs")
        case $preset in
            *mnist_mini | *_mini_fp | *_mini_spatial) own+=(--model.beta-warmup-steps $((epochs * 250))) ;;
            *_sv2p | *_sv2p_variant) # 25, 25 and 10 % of the run
                own+=(--model.generator-steps $((epochs * 150)) --model.latent-steps $((epochs * 150)))
                own+=(--model.beta-warmup-steps $((epochs * 60)))
                ;;
            *_savp*) # the KL's weight rises from a sixth to a third of the run; the rate falls in the last third
                own+=(--model.beta-start-step $((epochs * 100)) --model.beta-end-step $((epochs * 200)))
                own+=(--train.optimizer.schedule.steps $((epochs * 200)))
                ;;
        esac
        case $preset in *_sv2p* | *_savp*) own+=(--model.sampling-k $((epochs * 25 / 3))) ;; esac
    fi
    {
        $svg_tf train "$preset" --run-dir "$run" --train.seed "$seed" --data.moving-mnist.digits-dir "$digits" "${own[@]}" "$@"
        [ -e "$run/evaluation/report.json" ] ||
            $svg_tf evaluate "$run" --n-samples 100 --sequences "$sequences" --split "$split"
    } 2>&1 | sed -u "s|^|$(basename "$run"): |"
}

declare -A runs
for seed in $seeds; do
    for model in $models; do
        if [ "$seed" != "${seeds%% *}" ] && [[ " $once " == *" ${model%%=*} "* ]]; then continue; fi
        run=$out/${model%%=*}-$seed
        runs[${model%%=*}]+=${runs[${model%%=*}]:+,}$run
        while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
        one_run "$run" "${model#*=}" "$seed" "$@" &
    done
done
while [ -n "$(jobs -rp)" ]; do wait -n; done
baseline=()
[ "$set_name" != svg ] || baseline=(--deterministic "$out/det-${seeds%% *}")
echo "figures"
entries=() names=($models) beside=()
for label in $labels; do
    name=${names[${#entries[@]}]%%=*}
    entries+=("$label=${runs[$name]}")
    [ "$name" = "$drawn" ] || beside+=(--beside "$label=$out/$name-${seeds%% *}")
done
[ "$set_name" = sv2p ] || beside=()
$svg_tf figures "$out/$drawn-${seeds%% *}" "${baseline[@]}" "${beside[@]}" --split "$split" --out "$out/figures-$set_name"
echo "comparison (Figs. 7 and 8)"
$svg_tf compare "${entries[@]}" --out "$out/comparison-$set_name"
echo "Results: $out/comparison-$set_name/comparison.md, $out/figures-$set_name; watch: .venv/bin/tensorboard --logdir $out"
