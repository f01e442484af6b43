#!/usr/bin/env bash
# Runs the TFX pipeline and its checks for real, on Python 3.13: minutes and some gigabytes, so it is no part of CI.
#   tools/tfx_check.sh [FOLDER]
# A system with glibc 2.39 or newer (Debian 13, Ubuntu 24.04) is used as it is: FOLDER holds a virtual environment and results.
# On an older one FOLDER becomes a Debian 13 (debootstrap, as root; MIRROR=URL for another mirror than Debian's).
# Default FOLDER: svg_tf-tfx in TMPDIR (/var/tmp without it). What is there already is used again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
checkout=$PWD folder=${1:-${TMPDIR:-/var/tmp}/svg_tf-tfx}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
newest=$(printf '%s\n2.39\n' "${glibc:-0}" | sort -V | tail -1)
inside=""  # the path of FOLDER as the checks see it
[ "$newest" = "${glibc:-0}" ] && inside=$folder/tfx_check  # a folder of its own: parts of it are deleted at each start

run() {  # a command where TFX can be
    if [ -n "$inside" ]; then "$@"; else chroot "$folder/debian13" /usr/bin/env -i HOME=/root PATH="$PATH" LANG=C.UTF-8 \
        PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$@"; fi
}

enter() {
    [ -n "$inside" ] && return
    [ "$(id -u)" = 0 ] || { echo "glibc ${glibc:-?} is older than 2.39: a Debian 13 folder is made, which needs root." >&2; exit 2; }
    command -v debootstrap >/dev/null || { echo "apt-get install debootstrap, and start again." >&2; exit 2; }
    local root=$folder/debian13 file
    if [ ! -e "$root/made" ]; then
        mirror=${MIRROR:-$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -1)}
        debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,python3-dev,g++,ca-certificates trixie "$root" $mirror
        touch "$root/made"
    fi
    # As this machine reaches its package index: names, certificates and pip's own configuration.
    for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt /etc/pip.conf /etc/xdg/pip /root/.config/pip /root/.pip; do
        if [ -e "$file" ]; then mkdir -p "$root$(dirname "$file")" && cp -rLT "$file" "$root$file"; fi
    done
    for file in proc dev; do
        mountpoint -q "$root/$file" || mount --bind "/$file" "$root/$file"
    done
    trap leave EXIT
    inside=""
}

leave() {
    local place
    for place in dev proc; do
        ! mountpoint -q "$folder/debian13/$place" || umount "$folder/debian13/$place" || true
    done
}

enter
work=${inside:-/var/tmp/svg_tf-tfx}  # in the Debian folder
real=${inside:-$folder/debian13$work}
mkdir -p "$real"
rm -rf "$real/checkout" "$real/pipeline"
mkdir "$real/checkout"
tar -C "$checkout" --exclude=.git --exclude=.venv --exclude=__pycache__ -cf - . | tar -C "$real/checkout" -xf -

cat >"$real/check.sh" <<EOF
set -euo pipefail
cd $work/checkout
python=\$(command -v python3.13 || command -v python3)
[ -x ../venv/bin/python ] || "\$python" -m venv ../venv
echo "== Installing on \$(../venv/bin/python --version)"
../venv/bin/python -m pip install --quiet --disable-pip-version-check 'setuptools<81' wheel
../venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation 'tfx==1.21.0' 'tensorboard==2.21.0'
../venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[tfx]' 'pytest>=8' 'kfp>=2.6,<3' scikit-image
export TF_CPP_MIN_LOG_LEVEL=3 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$work/checkout HOME=$work
../venv/bin/python -m pip list 2>/dev/null | grep -iE '^(tfx|tensorflow|tensorflow-data-validation|ml-metadata|apache-beam|keras|protobuf|numpy|av|kfp) '
echo "== The pipeline: 200 videos of digits, from files to a pushed model"
mkdir ../pipeline
../venv/bin/python tools/tfx_clips.py ../pipeline/clips --clips 200
pipeline() {
    ../venv/bin/python -m data_pipelines.tfx.run video_folder smmnist_mini --name digits --source ../pipeline/clips \
        --work-dir ../pipeline/work --saved-models ../pipeline/saved_models --build.size 32 --build.channels 1 \
        --model.width 4 --model.rnn-size 32 --model.g-dim 16 --model.z-dim 4 --data.batch-size 16 --data.n-future 5 \
        --train.epochs 2 --train.steps-per-epoch 40 --eval.n-future 10 --eval.validation-steps 2 --evaluation.n-samples 5
}
start=\$SECONDS; pipeline; echo "first run: \$((SECONDS - start)) s"
start=\$SECONDS; pipeline; echo "second run: \$((SECONDS - start)) s"
cp ../pipeline/clips/train/digit000.avi ../pipeline/clips/test/leaked.avi
status=0; pipeline || status=\$?
[ "\$status" = 1 ] || { echo "a leaked clip must stop the pipeline with status 1, got \$status" >&2; exit 1; }
rm ../pipeline/clips/test/leaked.avi
../venv/bin/python -m data_pipelines.tfx.lineage ../pipeline/work/metadata.sqlite ../pipeline/saved_models/digits/1 | tail -2
echo "== The checks with TFX, TFDV and Kubeflow's compiler, and the tests of the data layer"
../venv/bin/python -m pytest -q -p no:cacheprovider tests/data_pipelines
EOF
run bash "$work/check.sh"
echo "tfx_check: all is well"
