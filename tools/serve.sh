#!/usr/bin/env bash
# Serves an exported model in the official TensorFlow Serving container. Needs Docker.
#   tools/serve.sh NAME [options]        NAME: a folder of saved_models/, made by `svg-tf export`
#     --models DIR       folder of the models (default: saved_models beside this script's folder)
#     --grpc-port PORT   default 8500
#     --rest-port PORT   default 8501
#     --address ADDRESS  where both ports listen; default 127.0.0.1, this machine alone
#     --no-batching      one request at a time; the signatures with scalars (generate, generate_float) need this
#     --image IMAGE      default tensorflow/serving:latest
set -euo pipefail

fail() {
    echo "serve.sh: $1" >&2
    exit 2
}

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0"
}

name="" models="$(cd "$(dirname "$0")/.." && pwd)/saved_models" grpc=8500 rest=8501 address=127.0.0.1 batching=1
image=tensorflow/serving:latest
while [ $# -gt 0 ]; do
    case "$1" in
        --help | -h) usage && exit 0 ;;
        --no-batching) batching=0 && shift && continue ;;
        --models | --grpc-port | --rest-port | --address | --image)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case "$1" in
                --models) models="$2" ;;
                --grpc-port) grpc="$2" ;;
                --rest-port) rest="$2" ;;
                --address) address="$2" ;;
                --image) image="$2" ;;
            esac
            shift 2
            ;;
        -*) fail "unknown option $1 (see --help)" ;;
        *)
            [ -z "$name" ] || fail "one model only, got $name and $1"
            name="$1" && shift
            ;;
    esac
done

[ -n "$name" ] || fail "which model? $(usage | sed -n 2p)"
[[ "$name" =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$ ]] || fail "a model's name has letters, digits, '_', '-' and '.', got '$name'"
for port in "$grpc" "$rest"; do
    [[ "$port" =~ ^[0-9]{1,5}$ ]] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] || fail "a port is in 1 to 65535, got '$port'"
done
[ "$((10#$grpc))" -ne "$((10#$rest))" ] || fail "the two ports must differ, got $grpc twice"
[[ "$address" =~ ^([0-9A-Za-z][0-9A-Za-z.-]*|\[[0-9A-Fa-f:.]+\])$ ]] || fail "--address must be an address of this machine, got '$address'"
[[ "$image" =~ ^[A-Za-z0-9][A-Za-z0-9_.:/@-]*$ ]] || fail "--image must be the name of an image, got '$image'"
[[ "$models" != *:* ]] || fail "--models must not hold a colon, which Docker takes for a separator, got '$models'"
folder="$models/$name"
[ -f "$folder/models.config" ] || fail "$folder is not an exported model: it has no models.config (svg-tf export)"
command -v docker >/dev/null || fail "Docker is not installed; see saved_models/README.md for other ways"

# Both configurations lie beside the versions and name the folder by its place in the container.
options=(--model_config_file="/models/$name/models.config")
if [ "$batching" = 1 ]; then
    options+=(--enable_batching=true --batching_parameters_file="/models/$name/batching.config")
fi
echo "gRPC: grpc://$address:$grpc   REST: http://$address:$rest/v1/models/$name"
# oneDNN's kernels halve a request on AVX2 machines.
exec docker run --rm --init \
    -p "$address:$grpc:8500" -p "$address:$rest:8501" \
    -v "$(cd "$folder" && pwd):/models/$name:ro" \
    -e TF_ENABLE_ONEDNN_OPTS=1 -e MODEL_NAME="$name" \
    "$image" "${options[@]}"
