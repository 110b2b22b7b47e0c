#!/bin/sh
# Opens the example page in Chromium, checks it and takes pictures of it.
#   crates/page/tests/browser/shots.sh [FOLDER FOR THE PICTURES] [PAGE]
# Needs chromium and python3. Exit 1: the page is not as it should be; 3: no chromium.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
shots=${1:-$(mktemp -d)}
mkdir -p "$shots"
shots=$(CDPATH= cd -- "$shots" && pwd)
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "no chromium found; install it to run this check" >&2
    exit 3
}
if [ $# -ge 2 ]; then
    page=$2
else
    page=$shots/example.html
    (cd "$here" && LOOPHOLE_PAGE_OUT="$page" cargo test --quiet --release -p loophole-page --test page -- --ignored write_example)
fi
exec python3 "$here/check.py" "$browser" "$page" "$shots"
