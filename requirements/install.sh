#!/bin/sh
# Makes a virtual environment from one pin file and puts Lately into it.
#
#   requirements/install.sh FOLDER PINS      e.g. requirements/install.sh .venv requirements/all.txt
#   requirements/install.sh FOLDER PINS bare                leaves Lately out: for a peer's library
#
# Needs a Python 3.11 to 3.14 (PYTHON names one) and nothing else. Every file that is fetched is
# checked against its hash. An environment that is there already is brought up to date. On Linux the
# libraries of CUDA are left out where there is no GPU; GPU=1 brings them, GPU=0 leaves them out.
set -eu

folder=$1
pins=$2
kind=${3:-}
here=$(dirname "$0")

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "found no Python 3.11 to 3.14 (${PYTHON:-on PATH}); install one, or set PYTHON" >&2
    exit 1
}

wants_gpu() {
    case ${GPU:-} in
    '') [ -e /dev/nvidiactl ] || nvidia-smi -L >/dev/null 2>&1 ;;
    0 | no) false ;;
    *) true ;;
    esac
}

# .ci/run compares these with what lies there.
announce() {
    case $(basename "$pins") in
    base.txt) size="300 MB of disk (100 MB to fetch): what the worker needs" ;;
    demo.txt) size="350 MB of disk (120 MB to fetch): what the demo needs" ;;
    all.txt) size="2.5 GB of disk (1 GB to fetch): worker, training, tests" ;;
    *) return 0 ;;
    esac
    if [ "$cuda" = yes ]; then
        size="6.5 GB of disk (3.5 GB to fetch): worker, training, tests, and CUDA for the GPU"
    fi
    echo "$folder takes about $size"
}

cuda=
if grep -q '^torch==' "$pins" && [ "$(uname)" = Linux ]; then
    if wants_gpu; then cuda=yes; else cuda=no; fi
fi

if ! fits "$folder/bin/python"; then
    python=$(find_python)
    echo "making $folder with $python"
    "$python" -m venv --clear "$folder" || {
        echo "$python cannot make virtual environments; on Debian, install python3-venv" >&2
        exit 1
    }
fi
python=$folder/bin/python
announce
[ "$cuda" != no ] || echo "no GPU seen, so PyTorch comes without CUDA; GPU=1 brings it"

# uv takes seconds where pip takes minutes; network.py tells it what pip is told.
"$python" -c "import pip" 2>/dev/null || "$python" -m ensurepip >/dev/null
fetch() {
    "$python" "$here/network.py" "$@"
}
uv() {
    fetch uv --no-config pip install --quiet --python "$python" "$@"
}
fetch pip install --quiet --disable-pip-version-check --require-hashes -r "$here/uv.txt"
if [ "$cuda" = no ]; then
    uv --require-hashes --excludes "$here/cuda.in" -r "$pins"
    "$python" "$here/cpu_torch.py" || {
        echo "PyTorch does not start here without CUDA's libraries; fetching them, 3 GB"
        cuda=yes
    }
fi
[ "$cuda" = no ] || uv --require-hashes -r "$pins"
[ "$kind" != bare ] || exit 0
# The plain kind of editable install: new modules are there at once.
uv --no-deps --no-index --no-build-isolation --config-setting editable_mode=compat --editable .
