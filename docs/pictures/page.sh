#!/bin/sh
# Makes the pictures of the page for the READMEs: a test of the page takes them in a real browser.
#
#   docs/pictures/page.sh
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$here/../.."
cargo build --quiet --workspace --bins
CI=1 cargo test --quiet -p e2e --test page -- pictures_of_the_readmes
for name in page-both page-frame page-korean; do
    cp "${CARGO_TARGET_DIR:-target}/debug/page-screenshots/$name.png" "$here/$name.png"
done
