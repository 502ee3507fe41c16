#!/bin/sh
# Creates an image with the name of an official one from this machine's file system, where no registry can be reached (CI):
#
#   docker/make-offline-image.sh rust        the image route "source" builds on it: the C compiler, and the Rust toolchain in use
#   docker/make-offline-image.sh python      the example of examples/mcp builds on it
#
# Both have the certificates, and Debian's packages with their dependencies. Needs Debian with the packages installed, Docker,
# and for rust cargo with its toolchain; takes seconds. Prints the image's name.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
case ${1:-} in
    rust)
        image=$(sed -n 's/^ARG RUST_IMAGE=//p' "$root/Dockerfile")
        roots="dash coreutils sed gcc libc6-dev ca-certificates"
        ;;
    python)
        image=$(sed -n 's/^ARG PYTHON_IMAGE=//p' "$root/examples/mcp/Dockerfile")
        roots="dash coreutils python3 python3-venv ca-certificates"
        ;;
    *)
        echo "usage: docker/make-offline-image.sh rust|python" >&2
        exit 2
        ;;
esac
destination=/usr/local/rust

# These packages and all their dependencies.
# shellcheck disable=SC2086 # one word for each package
packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances $roots | grep '^[a-z]' | cut -d: -f1 | sort -u)

# Where /bin is a link into /usr, files are stored under /usr: unpacking through a link whose target is missing would fail.
through_usr() {
    if [ -L /bin ]; then sed -E 's#^/(bin|sbin|lib|lib64)/#/usr/\1/#'; else cat; fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    # Of /usr/share only what Python's venv takes pip from. No package owns /bin and /lib where they are links into /usr.
    printf '%s\n' /bin /sbin /lib /lib64 /etc/ld.so.cache /etc/ssl/certs/ca-certificates.crt
    for package in $packages; do
        dpkg -L "$package" 2>/dev/null || :
    done
    # Alternatives, such as cc.
    find /etc/alternatives -lname '/usr/bin/*'
    find /usr/bin -lname '/etc/alternatives/*'
} | awk '!/^\/usr\/share\// || /python-wheels/' | grep -v -e '^/\.$' -e '^/dev' -e '^/proc' -e '^/sys' | sort -u |
    while read -r path; do
        if [ -e "$path" ] && { [ ! -d "$path" ] || [ -L "$path" ]; }; then echo "$path"; fi
    done | through_usr | sort -u >"$work/files"

tar -c -f "$work/image.tar" --no-recursion -P -T "$work/files" 2>"$work/errors" || {
    cat "$work/errors" >&2
    exit 1
}
if [ "$1" = rust ]; then
    toolchain=$(rustc --print sysroot)
    tar -r -f "$work/image.tar" -P --transform "s|^$toolchain|$destination|" --exclude share \
        "$toolchain/bin" "$toolchain/lib"
fi
mkdir -m 1777 "$work/tmp"
tar -r -f "$work/image.tar" -C "$work" tmp
# pip has certificates of its own, which lack those that a machine adds.
docker import -c "ENV PATH=$destination/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    -c "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt" "$work/image.tar" "$image" >/dev/null
echo "$image"
