#!/bin/sh
# Checks the service with whole installations of trainers: 8 GB and about five minutes of downloads, so by hand.
#
#   scripts/check_trainers_whole.sh target/release/loophole [FOLDER]
#
# `cargo xtask test --slow` makes the same checks with the trainers' own modules but without torch and ray (trainers.py
# says how). Needs Python 3.12. OpenRLHF's package wants CUDA, and tinker-cookbook 0.6.1 a package that does not exist
# in the version it names: both are checked in that way only.
set -eu
program=$1
folder=${2:-$(mktemp -d)}
clients=$(dirname "$0")/../crates/serve/tests/clients
whole() { # NAME CHECKS PACKAGES...
    name=$1 checks=$2
    shift 2
    [ -x "$folder/$name/bin/python" ] || "${PYTHON312:-python3.12}" -m venv "$folder/$name"
    "$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    "$folder/$name/bin/python" "$clients/check_rewards.py" "$program" --only "$checks"
}
whole verl verl,sandbox_fusion verl==0.9.1 torch==2.15.0 sandbox-fusion==0.3.7 aiohttp==3.14.5
whole gym gym nemo-gym==0.4.0
