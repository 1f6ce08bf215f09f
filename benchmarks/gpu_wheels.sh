#!/bin/sh
# Collects the wheels that a bare machine (Python 3.12, x86-64, torch, numpy, scipy, pytest; no network) lacks for gpu.py.
#
#     sh benchmarks/gpu_wheels.sh FOLDER            here
#     python3 -m pip install -q --no-index --no-deps --no-compile --target SITE FOLDER/*.whl && export PYTHONPATH=SITE    there
#
# The parts of gpu.py need none of them: only the tests marked `gpu` that build a panel or a store of tracks do. polars is the oldest
# release that varfx takes, as it is half the size of later ones. Ends with an error above 60 MiB.
set -eu
folder=${1:?"usage: gpu_wheels.sh FOLDER"}
python=${PYTHON:-python3}
mkdir -p "$folder"
"$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_24_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d "$folder" \
    polars==1.31.0 bed-reader==1.1.0 zarr==3.1.6 numcodecs==0.16.6 donfig==0.8.1.post1 google-crc32c==1.9.0 pybigtools==0.3.0 zstandard==0.25.0
kib=$(du -sk "$folder" | cut -f1)
echo "$((kib / 1024)) MiB in $folder"
test "$kib" -le $((60 * 1024)) || { echo "more than 60 MiB: too much to carry" >&2; exit 1; }
