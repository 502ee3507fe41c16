#!/bin/sh
# Creates an image with the name of the official Rust image from this machine's file system: the C compiler with its
# dependencies as Debian's packages list them, the certificates, and the Rust toolchain in use. It lets the image route
# "source" build where no registry can be reached (CI). Needs Debian, Docker, and cargo with its toolchain; takes seconds.
#
#   docker/make-offline-rust-image.sh        prints the image's name
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
image=$(sed -n 's/^ARG RUST_IMAGE=//p' "$root/Dockerfile")
toolchain=$(rustc --print sysroot)
destination=/usr/local/rust

# These packages and all their dependencies.
packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances dash coreutils sed gcc libc6-dev ca-certificates | grep '^[a-z]' | cut -d: -f1 | sort -u)

# Where /bin is a link into /usr, files are stored under /usr: unpacking through a link whose target is missing would fail.
through_usr() {
    if [ -L /bin ]; then sed -E 's#^/(bin|sbin|lib|lib64)/#/usr/\1/#'; else cat; fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
    # No package owns /bin and /lib where they are links into /usr.
    printf '%s\n' /bin /sbin /lib /lib64 /etc/ld.so.cache /etc/ssl/certs/ca-certificates.crt
    for package in $packages; do
        dpkg -L "$package" 2>/dev/null || :
    done
    # Alternatives, such as cc.
    find /etc/alternatives -lname '/usr/bin/*'
    find /usr/bin -lname '/etc/alternatives/*'
} | grep -v -e '^/usr/share/' -e '^/\.$' -e '^/dev' -e '^/proc' -e '^/sys' | sort -u |
    while read -r path; do
        if [ -e "$path" ] && { [ ! -d "$path" ] || [ -L "$path" ]; }; then echo "$path"; fi
    done | through_usr | sort -u >"$work/files"

tar -c -f "$work/image.tar" --no-recursion -P -T "$work/files" 2>"$work/errors" || {
    cat "$work/errors" >&2
    exit 1
}
tar -r -f "$work/image.tar" -P --transform "s|^$toolchain|$destination|" --exclude share \
    "$toolchain/bin" "$toolchain/lib"
mkdir -m 1777 "$work/tmp"
tar -r -f "$work/image.tar" -C "$work" tmp
docker import -c "ENV PATH=$destination/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$work/image.tar" "$image" >/dev/null
echo "$image"
