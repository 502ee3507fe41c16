#!/bin/sh
# Makes the pictures of the READMEs: the side-by-side view of the committed sample report, one picture a language.
#
#   docs/pictures/make.sh
#
#   CHROME=PROGRAM      the browser; by default the first of chromium, chromium-browser and google-chrome that is installed
#
# `make sample` replaces the sample by the report of a fresh run; run this afterwards.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
sample=$here/../../analysis/sample
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# CSS pixels, and device pixels for each: sharp on a high-resolution screen, and below 150 KB.
width=900 height=302 scale=1.5

# Only the side-by-side view, without its margins, buttons and captions. The handshake is left out, so that the same message
# is on top on both sides.
style="body *:not(:has(.exhibit.streams)):not(.exhibit.streams):not(.exhibit.streams *), .switch, .panel > .foot, .opened
    { display: none !important }
html, body, body :has(.exhibit.streams)
    { display: block !important; margin: 0 !important; padding: 0 !important; max-width: none !important; border: 0 !important }
.exhibit.streams { margin: 0 !important; padding: 6px }
.exhibit.streams .panel { height: $((height - 12))px }
.panel > .body { overflow: hidden !important }
.panel.is-sealed .turn:not(:has(.mark:not(.readable))) { display: none }"

main() {
    browser=$(find_browser)
    for language in en ko; do
        picture "$sample/$language/report.html" "$here/side-by-side.$language.png"
    done
}

find_browser() {
    for name in ${CHROME:-chromium chromium-browser google-chrome}; do
        if command -v "$name"; then return; fi
    done
    echo "docs/pictures/make.sh: no Chromium or Chrome; CHROME names another" >&2
    return 1
}

# The report's content security policy allows only its own style: the copy goes without it.
picture() {
    printf '%s' "$style" >"$work/style.css"
    sed -e 's|<meta http-equiv="Content-Security-Policy"[^>]*>||' \
        -e 's|</head>|<link rel="stylesheet" href="style.css"></head>|' "$1" >"$work/report.html"
    grep -q 'class="exhibit streams"' "$work/report.html" || {
        echo "docs/pictures/make.sh: $1 has no side-by-side view" >&2
        return 1
    }
    "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$work/profile" \
        --window-size="$width,$height" --force-device-scale-factor="$scale" --screenshot="$2" \
        "file://$work/report.html" 2>"$work/log" || {
        cat "$work/log" >&2
        return 1
    }
    rm -rf "$work/profile"
    echo "$2"
}

main
