#!/bin/bash
# Tests the limits of boxes by cgroups of version 2 in a small virtual machine with a real kernel: on a machine, one version
# governs a controller, and it may be version 1. At the end systemd takes the machine over, with a service manager of an
# ordinary user, who starts boxes in a login session. Changes nothing on this machine.
#
#   crates/sandbox/tests/cgroup-v2.sh
#
# Needs qemu-system-x86_64, busybox (static), and a kernel: KERNEL=PATH, or one in /boot, or Debian's, which apt-get
# downloads; for the login sessions systemd and dbus-daemon with the units of both, which are copied from this machine.
# CONSOLE=PATH keeps what the machine wrote. The last line is in cargo test's form.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 2

work=$(mktemp -d)
trap 'cp "$work/console" "${CONSOLE:-/dev/null}" 2>/dev/null; rm -rf "$work"' EXIT
passed=0 failed=0
sessions=yes

main() {
    command -v qemu-system-x86_64 >/dev/null || { echo "no qemu-system-x86_64" >&2; exit 1; }
    if ! command -v busybox >/dev/null || ldd "$(command -v busybox)" >/dev/null 2>&1; then
        echo "no busybox that is statically linked" >&2
        exit 1
    fi
    find_systemd || return 1
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

# What the login sessions need of this machine. Without it they are skipped; in CI that is a failure.
find_systemd() {
    local file
    for file in "${systemd_programs[@]}" "${systemd_files[@]}"; do
        [ ! -e "$file" ] || continue
        echo "SKIP: login sessions: no $file" >&2
        [ -z "${CI:-}" ] || return 1
        sessions=
    done
}
systemd_programs=(/usr/lib/systemd/systemd /usr/bin/systemd-run /usr/bin/busctl /usr/bin/dbus-daemon)
systemd_files=(/usr/lib/systemd/{system,user}/{basic.target,dbus.socket,dbus.service} /usr/lib/systemd/system/user@.service
    /usr/lib/systemd/user/sockets.target.wants/dbus.socket /usr/share/dbus-1/{system,session}.conf)

# Static, since the machine holds no libraries but systemd's. In the profile of the container images, which share the dependencies.
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
    mkdir -p "$work/root/usr"/{bin,lib,lib64} "$work/root"/{etc,proc,sys,dev,tmp,new}
    ln -s usr/bin usr/lib usr/lib64 "$work/root/"
    cp "$(command -v busybox)" "$work/box-run" "$work/escapist" "$work/root/bin/"
    printf '%s\n' root:x:0:0::/:/bin/sh me:x:1000:1000::/tmp:/bin/sh messagebus:x:100:100::/:/bin/false >"$work/root/etc/passwd"
    printf '%s\n' root:x:0: me:x:1000: messagebus:x:100: >"$work/root/etc/group"
    # A box changes its root, which the kernel does not allow in the initial root file system.
    cat >"$work/root/init" <<'EOF'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t tmpfs -o mode=755 none /new
$B cp -a /usr /bin /lib /lib64 /etc /cases /new/
[ ! -e /sessions ] || $B cp -a /sessions /new/
$B mkdir -p /new/proc /new/sys /new/dev /new/tmp /new/run
$B chmod 1777 /new/tmp
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
[ -x /lib/systemd/systemd ] || poweroff -f
find service-* -depth -type d -exec rmdir {} \;
mount -t tmpfs -o mode=755 none /run
exec /lib/systemd/systemd --log-target=null --show-status=no
EOF
    [ -z "$sessions" ] || add_systemd
    chmod -R u+w "$work/root"
    chmod 755 "$work/root/init" "$work/root/cases" "$work/root/bin"/*
    (cd "$work/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 >"$work/initrd.gz")
}

# systemd as the machine's first process, the buses, and the user's service manager, as Debian starts them: the machine's manager
# delegates a group to the user's (user@.service), and a login session is a scope beside it that belongs to root. So to move a
# process out of its session, the user's manager has to ask the machine's. What differs: no PAM and no logind, whose parts in
# it are a folder for the user and the session's scope.
add_systemd() {
    local root=$work/root file units
    local programs=("${systemd_programs[@]}")
    # Since systemd 255.
    [ ! -e /usr/lib/systemd/systemd-executor ] || programs+=(/usr/lib/systemd/systemd-executor)
    for file in "${programs[@]}" $(ldd "${programs[@]}" | sed -n 's/^.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' | sort -u); do
        install -D "$file" "$root$file"
    done
    for units in system user; do
        mkdir -p "$root/usr/lib/systemd/$units"
        cp "/usr/lib/systemd/$units"/{*.target,*.slice,dbus.socket,dbus.service} "$root/usr/lib/systemd/$units/"
    done
    cp /usr/lib/systemd/system/user@.service "$root/usr/lib/systemd/system/"
    mkdir "$root/usr/lib/systemd/user/sockets.target.wants"
    ln -s ../dbus.socket "$root/usr/lib/systemd/user/sockets.target.wants/"
    cp -r --parents /usr/share/dbus-1/{system,session}.conf /usr/share/dbus-1/system.d "$root"
    units=$root/etc/systemd/system
    mkdir -p "$units/user@.service.d"
    echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
    printf '%s\n' '[Service]' PAMName= Environment=XDG_RUNTIME_DIR=/run/user/%i '[Unit]' Wants=dbus.service \
        After=dbus.service >"$units/user@.service.d/plain.conf"
    printf '%s\n' '[Service]' Type=oneshot RemainAfterExit=yes ExecStart='/bin/sh -c "mkdir -p /run/user && \
        mkdir -m 700 /run/user/%i && chown %i:%i /run/user/%i"' >"$units/user-runtime-dir@.service"
    printf '%s\n' '[Unit]' Wants=sessions.service >"$units/default.target"
    printf '%s\n' '[Unit]' Wants=user@1000.service After=user@1000.service '[Service]' Type=oneshot StandardOutput=tty \
        StandardError=tty TTYPath=/dev/console ExecStart=/sessions >"$units/sessions.service"
    cat >"$root/sessions" <<'EOF'
#!/bin/busybox sh
export PATH=/bin
# Starts a program in a login session of its own.
login() {
    # Each in a pipe's process of its own, so that a variable would not be kept.
    session=$(($(cat /tmp/session 2>/dev/null || echo 0) + 1))
    echo "$session" >/tmp/session
    systemd-run --quiet --scope --slice=user-1000.slice --unit="session-$session" --uid=1000 --gid=1000 \
        env XDG_RUNTIME_DIR=/run/user/1000 "$@"
}
run() {
    name=$1; shift
    "$@" </dev/null 2>&1 | tr -d '\r' | sed "s|^|$name: |"
}
box="box-run --backend namespace"
run session-group login cat /proc/self/cgroup
run session-own-group login sh -c 'mkdir /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/mine'
run session-no-manager login env -u XDG_RUNTIME_DIR $box /bin/escapist copy
run session-no-bus login env XDG_RUNTIME_DIR=/tmp $box /bin/escapist copy
run session-limits login $box --memory 67108864 --processes 20 --cpus 0.5 /bin/escapist copy
run session-memory login $box --memory 67108864 /bin/escapist memory own
# Where the box's group is, as long as the box runs.
login $box --wall-ms 600000 /bin/escapist sleep >/dev/null 2>&1 &
for _ in $(seq 300); do
    find /sys/fs/cgroup -name 'plainsight-box*' | grep . && break
    sleep 0.1
done | sed "s|^|session-where: |"
# Its helper may have ended before.
kill $(pidof box-run) 2>/dev/null
wait
run session-tricks login $box /bin/escapist tricks
/bin/escapist list-memory-tricks | while read -r trick; do
    echo "exec /bin/box-run --backend namespace --memory 67108864 --env HOLD_MIB=192 --wall-ms 180000 \
        /bin/escapist tricks '$trick'" >/tmp/one
    run "session-memory-trick: $trick" login sh /tmp/one
done
sleep 1
run session-left find /sys/fs/cgroup -name 'plainsight-*'
echo "all sessions are over"
poweroff -f
EOF
    chmod 755 "$root/sessions"
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
            # Only where this is the mechanism is the page's column for cgroups meant.
            [ "$column" = 4 ] || grep -F "$who-memory-trick: $name: " "$work/console" |
                grep -q '"memory_bytes","mechanism":"cgroup v2 memory.max","value":"67108864"' || seen="no memory cgroup"
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
    local over=cases
    [ -z "$sessions" ] || over=sessions
    if ! grep -q "^all $over are over" "$work/console"; then
        tail -n 30 "$work/console"
        failed=$((failed + 1))
    fi
    for who in root delegated; do
        check_limits $who-limits
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
    check_nothing_left left
    [ -n "$sessions" ] || return 0
    # A session's group is not the user's, so each of the following boxes is in a scope that its host asked for.
    check session-group '0::/user.slice/user-1000.slice/session-1.scope'
    check session-own-group 'Permission denied'
    check session-no-manager 'limit without a mechanism' 'XDG_RUNTIME_DIR is not set'
    check session-no-bus 'limit without a mechanism' "the user's service manager: Failed to connect to bus"
    check session-where '/user.slice/user-1000.slice/user@1000.service/.*/plainsight-[0-9]*.scope/plainsight-box'
    check_limits session-limits
    check session-memory '"exit":"out_of_memory"' '"peak_memory_bytes":67[01][0-9]*,'
    check_tricks session
    check_nothing_left session-left
}

check_limits() {
    check "$1" '"exit":{"code":0}' \
        '"memory_bytes","mechanism":"cgroup v2 memory.max","value":"67108864"' \
        '"swap_bytes","mechanism":"cgroup v2 memory.swap.max","value":"0"' \
        '"processes","mechanism":"cgroup v2 pids.max[^"]*","value":"20"' \
        '"cpus","mechanism":"cgroup v2 cpu.max","value":"0.5"'
}

check_nothing_left() {
    if grep -q "^$1: " "$work/console"; then
        echo "test cgroup_v2::$1 ... FAILED"
        grep "^$1: " "$work/console"
        failed=$((failed + 1))
    else
        echo "test cgroup_v2::$1 ... ok"
        passed=$((passed + 1))
    fi
}

main
