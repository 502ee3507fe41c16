#!/bin/bash
# Tests the limits of boxes by cgroups of version 2 in a small virtual machine with a real kernel: on a machine, one version
# governs a controller, and it may be version 1. Changes nothing on this machine.
#
#   crates/sandbox/tests/cgroup-v2.sh
#
# Needs qemu-system-x86_64, busybox (static), and a kernel: KERNEL=PATH, or one in /boot, or Debian's, which apt-get
# downloads. CONSOLE=PATH keeps what the machine wrote. The last line is in cargo test's form.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 2

work=$(mktemp -d)
trap 'cp "$work/console" "${CONSOLE:-/dev/null}" 2>/dev/null; rm -rf "$work"' EXIT
passed=0 failed=0

main() {
    command -v qemu-system-x86_64 >/dev/null || { echo "no qemu-system-x86_64" >&2; exit 1; }
    if ! command -v busybox >/dev/null || ldd "$(command -v busybox)" >/dev/null 2>&1; then
        echo "no busybox that is statically linked" >&2
        exit 1
    fi
    build || { echo "cannot build the programs" >&2; exit 1; }
    kernel || { echo "no kernel: KERNEL=PATH names one" >&2; exit 1; }
    make_root
    boot
    judge
    local result=ok
    ((failed == 0)) || result=FAILED
    echo "test result: $result. $passed passed; $failed failed; 0 ignored"
    ((failed == 0))
}

# Static, since the machine holds no libraries. In the profile of the container images, which share the dependencies.
build() {
    local target folder
    target=$(rustc -vV | sed -n 's/^host: //p')
    folder=${CARGO_TARGET_DIR:-target}
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --quiet --locked --profile image -p sandbox \
        --bin box-run --target "$target" --target-dir "$folder" &&
        cp "$folder/$target/image/box-run" "$work/" &&
        rustc -O --edition 2024 -C target-feature=+crt-static -o "$work/escapist" \
            crates/sandbox/tests/programs/escapist.rs
}

kernel() {
    kernel=${KERNEL:-}
    [ -z "$kernel" ] || return 0
    kernel=$(find /boot -maxdepth 1 -name 'vmlinuz-*' -readable 2>/dev/null | sort -V | tail -n 1)
    [ -z "$kernel" ] || return 0
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    (cd "$work" && apt-get download -q "$package" >/dev/null && dpkg -x linux-image-*.deb kernel) || return 1
    kernel=$(find "$work/kernel/boot" -name 'vmlinuz-*')
    [ -n "$kernel" ]
}

make_root() {
    mkdir -p "$work/root"/{bin,proc,sys,dev,tmp,new}
    cp "$(command -v busybox)" "$work/box-run" "$work/escapist" "$work/root/bin/"
    # A box changes its root, which the kernel does not allow in the initial root file system.
    cat >"$work/root/init" <<'EOF'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t tmpfs -o mode=755 none /new
$B cp -a /bin /cases /new/
$B mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/etc
$B chmod 1777 /new/tmp
echo "root:x:0:0::/:/bin/sh
me:x:1000:1000::/tmp:/bin/sh" >/new/etc/passwd
exec $B switch_root /new /cases
EOF
    cat >"$work/root/cases" <<'EOF'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
mount -t cgroup2 none /sys/fs/cgroup
cd /sys/fs/cgroup
# The firmware's output has no line end.
echo
echo "+memory +pids +cpu" >cgroup.subtree_control

# Each run is a service with a group of its own, as systemd makes it with Delegate=yes.
root() { echo 0 >cgroup.procs; "$@"; }
delegated() {
    # Each in a pipe's process of its own, so that a variable would not be kept.
    service=$(($(cat /tmp/service 2>/dev/null || echo 0) + 1))
    echo "$service" >/tmp/service
    mkdir "service-$service"
    (cd "service-$service" && chown 1000:1000 . cgroup.procs cgroup.subtree_control cgroup.threads)
    sh -c 'echo 0 >"$0/cgroup.procs"; exec su me -s /bin/sh -c "exec $*"' "service-$service" "$@"
}
plain() { su me -s /bin/sh -c "exec $*"; }
run() {
    name=$1; shift
    "$@" </dev/null 2>&1 | tr -d '\r' | sed "s|^|$name: |"
}
box="box-run --backend namespace"
for who in root delegated; do
    run $who-limits $who $box --memory 67108864 --processes 20 --cpus 0.5 /bin/escapist copy
    run $who-memory $who $box --memory 67108864 /bin/escapist memory own
    run $who-shared $who $box --memory 67108864 /bin/escapist memory shared
    run $who-forks $who $box --processes 20 /bin/escapist fork-count
    run $who-bomb $who $box --processes 20 --wall-ms 3000 /bin/escapist fork-bomb
    run $who-spin $who $box --cpus 0.25 /bin/escapist spin
done
weak="$box --allow-weak-memory-limit"
for who in root delegated; do
    run $who-tricks $who $box /bin/escapist tricks
done
run plain-tricks plain $weak /bin/escapist tricks
# Each in a box of its own, of which it tries to hold three times the memory.
/bin/escapist list-memory-tricks | while read -r trick; do
    # A name on the command line of `su` would be split.
    echo "exec /bin/box-run --backend namespace --allow-weak-memory-limit --memory 67108864 --env HOLD_MIB=192 --wall-ms 180000 \
        /bin/escapist tricks '$trick'" >/tmp/one
    for who in root delegated plain; do
        run "$who-memory-trick: $trick" $who sh /tmp/one
    done
done
run plain-refused plain $box /bin/escapist copy
run plain-limits plain $weak --memory 67108864 --processes 20 /bin/escapist copy
run plain-cpus plain $weak --cpus 0.5 /bin/escapist copy
sleep 1
run left find /sys/fs/cgroup -name 'plainsight-box*'
echo "all cases are over"
poweroff -f
EOF
    chmod 755 "$work/root/init" "$work/root/cases" "$work/root/bin"/*
    (cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$work/initrd.gz")
}

boot() {
    timeout 1200 qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 1500 -nographic -no-reboot -net none \
        -kernel "$kernel" -initrd "$work/initrd.gz" \
        -append "console=ttyS0 quiet loglevel=0 rdinit=/init panic=-1" </dev/null 2>&1 | tr -d '\r' >"$work/console"
}

# The output of a case must contain these words.
check() {
    local name=$1 words
    shift
    for words in "$@"; do
        grep -q -e "^$name: .*$words" "$work/console" && continue
        echo "test cgroup_v2::$name ... FAILED: it does not say: $words"
        grep -e "^$name: " "$work/console" | cut -c1-2000
        failed=$((failed + 1))
        return
    done
    echo "test cgroup_v2::$name ... ok"
    passed=$((passed + 1))
}

# A program that spins had less than half of a CPU, where the limit is a quarter: the clock of an emulated machine is not exact.
check_share() {
    local name=$1 duration cpu
    duration=$(sed -n "s/^$name: .*\"duration_us\":\([0-9]*\),.*/\1/p" "$work/console")
    cpu=$(sed -n "s/^$name: .*\"cpu_us\":\([0-9]*\),.*/\1/p" "$work/console")
    if [ -n "$duration" ] && [ -n "$cpu" ] && [ "$cpu" -gt 0 ] && [ $((2 * cpu)) -lt "$duration" ]; then
        echo "test cgroup_v2::$name ... ok"
        passed=$((passed + 1))
        return
    fi
    echo "test cgroup_v2::$name ... FAILED: ${cpu:-?} of ${duration:-?} microseconds on the CPU"
    failed=$((failed + 1))
}

# Every trick ends as docs/sandbox.md says.
check_tricks() {
    local who=$1 column=3 name seen cell wrong=0 count=0
    [ "$who" != plain ] || column=4
    while IFS= read -r name; do
        seen=$(grep -F "$who-tricks: $name: " "$work/console" | head -n 1 | sed "s|^.*: ||; s|^succeeded.*|**succeeded**|")
        if [ -z "$seen" ]; then
            seen=$(grep -F "$who-memory-trick: $name: $name: " "$work/console" | head -n 1 |
                sed "s|^.*: ||; s|^succeeded.*|**succeeded**|; s|^bounded.*|bounded|")
            ! grep -F "$who-memory-trick: $name: " "$work/console" | grep -q '"exit":"out_of_memory"' || seen="out of memory"
        fi
        cell=$(grep -F "| $name | " docs/sandbox.md | head -n 1 | awk -F ' [|] ' -v "n=$column" '{print $n}')
        count=$((count + 1))
        case " or $cell or " in
            *" or $seen or "*) ;;
            *)
                echo "$who: $name: the page says $cell, but ${seen:-nothing}"
                wrong=$((wrong + 1))
                ;;
        esac
    done < <("$work/escapist" list-tricks)
    if ((wrong == 0 && count > 100)); then
        echo "test cgroup_v2::$who-tricks ... ok"
        passed=$((passed + 1))
    else
        echo "test cgroup_v2::$who-tricks ... FAILED: $wrong of $count"
        failed=$((failed + 1))
    fi
}

judge() {
    if ! grep -q "^all cases are over" "$work/console"; then
        tail -n 30 "$work/console"
        failed=$((failed + 1))
    fi
    for who in root delegated; do
        check $who-limits '"exit":{"code":0}' \
            '"memory_bytes","mechanism":"cgroup v2 memory.max","value":"67108864"' \
            '"swap_bytes","mechanism":"cgroup v2 memory.swap.max","value":"0"' \
            '"processes","mechanism":"cgroup v2 pids.max[^"]*","value":"20"' \
            '"cpus","mechanism":"cgroup v2 cpu.max","value":"0.5"'
        check $who-memory '"exit":"out_of_memory"' '"peak_memory_bytes":67[01][0-9]*,'
        check $who-shared '"exit":"out_of_memory"'
        check $who-forks 'processes 20' 'more errno 11'
        check $who-bomb '"exit":"timed_out"'
        check_share $who-spin
    done
    check plain-refused 'limit without a mechanism' 'Delegate=yes'
    for who in root delegated plain; do
        check_tricks $who
    done
    check plain-limits '"exit":{"code":0}' '"processes","mechanism":"RLIMIT_NPROC' '"memory_bytes","mechanism":"weak (allow_weak_memory_limit): watched from outside'
    check plain-cpus 'cannot limit cpus'
    if grep -q '^left: ' "$work/console"; then
        echo "test cgroup_v2::left ... FAILED"
        grep '^left: ' "$work/console"
        failed=$((failed + 1))
    else
        echo "test cgroup_v2::left ... ok"
        passed=$((passed + 1))
    fi
}

main
