#!/bin/bash
# Tests the experiment in containers with every installed Compose and builder: the content of the images, the first and last
# frames of the captures, and that each failure reports its cause and leaves nothing behind. CI runs it.
#
#   docker/test.sh [CASE...]       runs the named cases; default: all
#
# Needs Docker, Compose, tshark and this repository's toolchain. ANALYZE is the analyzer's command. COMPOSES lists the Compose
# commands to test, separated by commas; default: all that are installed. The last line has the form of cargo test's.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

read -r -a analyze <<< "${ANALYZE:-cargo run --quiet --bin analyze --}"
work=$(mktemp -d)
passed=0 failed=0
# Other programs may use the engine meanwhile, so only what carries Compose's label counts; volumes have no label.
of_compose='label=com.docker.compose.project'
engine_names() {
    docker ps -aq --filter "$of_compose" | sort
    docker network ls -q --filter "$of_compose" | sort
    docker volume ls -q | sort
}
names_before=$(engine_names)

cases=(runs proven owner first_and_last follow images hardened secrets by_hand taken_port never_healthy unwritable
    failing_build no_docker no_compose bad_words interrupted terminated full_disk locked
    demo demo_by_hand demo_fails mcp)

main() {
    composes
    if (($#)); then cases=("$@"); fi
    for case in "${cases[@]}"; do
        if ("test_$case" >"$work/words" 2>&1); then
            echo "test docker::$case ... ok"
            passed=$((passed + 1))
        else
            echo "test docker::$case ... FAILED"
            sed 's/^/    /' "$work/words"
            failed=$((failed + 1))
        fi
    done
    rm -rf "$work"
    local result=ok
    ((failed == 0)) || result=FAILED
    echo "test result: $result. $passed passed; $failed failed; 0 ignored"
    ((failed == 0))
}

composes() {
    compose_commands=()
    if [ -n "${COMPOSES:-}" ]; then
        IFS=, read -r -a compose_commands <<< "$COMPOSES"
        return
    fi
    if docker compose version >/dev/null 2>&1; then compose_commands+=("docker compose"); fi
    if command -v docker-compose >/dev/null; then compose_commands+=(docker-compose); fi
}

# --- Shared functions ----------------------------------------------------------------------------------------------

run() {
    PLAINSIGHT_COMPOSE=${compose:-${compose_commands[0]}} docker/run.sh "$@"
}

fail() {
    echo "failed: $*"
    exit 1
}

# Fails if a container, network, volume or staging folder is left.
nothing_left() {
    [ "$(engine_names)" = "$names_before" ] || fail "containers, networks or volumes are left: $(docker ps -a; docker network ls; docker volume ls)"
    [ -z "$(find captures -name '.staging*')" ] || fail "a staging folder is left"
    [ ! -e captures/.demo ] || fail "the folder of the demo is left"
    [ -z "$(docker ps -aq --filter label=plainsight.sandbox=demo-docker)" ] || fail "sandboxes are left"
}

# Runs a command that must fail with this status, with these words in the last line of stderr, and without side effects.
must_fail() {
    local expected=$1 words=$2 before status
    shift 2
    before=$(checksums)
    "$@" >"$work/out" 2>"$work/err"
    status=$?
    cat "$work/err"
    [ "$status" = "$expected" ] || fail "status $status, not $expected"
    tail -n 1 "$work/err" | grep -q -e "$words" || fail "the last line lacks: $words"
    [ ! -s "$work/out" ] || fail "stdout is not empty: $(cat "$work/out")"
    [ "$(checksums)" = "$before" ] || fail "earlier captures changed"
    nothing_left
}

checksums() {
    find captures -type f -exec cksum {} + | sort
}

# Creates a Compose command that adds the file on stdin to the file that it is given: COMMAND -f FILE -p NAME ...
compose_with() {
    cat >"$work/more.yml"
    cat >"$work/compose" <<EOF
#!/bin/sh
[ "\$1" = -f ] || exec ${compose_commands[0]} "\$@"
file=\$2; shift 2
exec ${compose_commands[0]} -f "\$file" -f "$work/more.yml" "\$@"
EOF
    chmod +x "$work/compose"
    compose=$work/compose
}

manifest_says() {
    grep -q "\"$2\": *$3" "captures/$1.manifest.json" || fail "$1.manifest.json: $2 is not $3"
}

# Runs the example of examples/mcp with a file for TLS or without, and checks its capture. Prints what the check prints.
mcp_example() {
    local compose=$1 overlay=$2 status
    local -a command
    read -r -a command <<< "$compose"
    command+=(-f examples/mcp/docker-compose.yml ${overlay:+-f "$overlay"})
    timeout 400 "${command[@]}" build >"$work/up" 2>&1 || fail "the example does not build: $(cat "$work/up")"
    if [ -n "$overlay" ]; then "${command[@]}" run --rm certs || fail "no certificates: status $?"; fi
    timeout 120 "${command[@]}" up --exit-code-from client >"$work/up" 2>&1 || {
        cat "$work/up"
        fail "the example ends with status $?"
    }
    "${command[@]}" run --rm check
    status=$?
    "${command[@]}" down >/dev/null 2>&1
    nothing_left
    return "$status"
}

# --- Cases ---------------------------------------------------------------------------------------------------------

# Both variants with every Compose and every builder, each time without recorded images.
test_runs() {
    local compose builder variant
    for compose in "${compose_commands[@]}"; do
        for builder in 1 0; do
            # 1.29 builds with the classic builder by itself; told to use Docker's command, it needs buildx.
            if [ "$compose" = docker-compose ] && [ "$builder" = 1 ] && ! docker buildx version >/dev/null 2>&1; then continue; fi
            rm -f docker/bin/*.images
            for variant in http https; do
                rm -f "captures/$variant".*
                echo "--- $compose, DOCKER_BUILDKIT=$builder, $variant"
                DOCKER_BUILDKIT=$builder COMPOSE_DOCKER_CLI_BUILD=$builder run "$variant" >"$work/out" || fail "status $?"
                [ "$(cat "$work/out")" = "captures/$variant.pcap" ] || fail "stdout: $(cat "$work/out")"
                manifest_says "$variant" backend '"docker"'
                manifest_says "$variant" interface '"eth0"'
                manifest_says "$variant" kernel_drops 0
                nothing_left
            done
        done
    done
}

test_proven() {
    "${analyze[@]}" --no-output captures/http.pcap captures/https.pcap || fail "analyze: status $?"
    "${analyze[@]}" --no-output --format json captures/http.pcap captures/https.pcap | grep -q '"proven"' || fail "not proven"
}

# All files belong to the caller, and only the caller can read them.
test_owner() {
    local file
    for file in captures/http{.pcap,.manifest.json,.agent-a.jsonl,.agent-b.jsonl} \
        captures/https{.pcap,.manifest.json,.agent-a.jsonl,.agent-b.jsonl,.keys} certs/{ca,server,client}.key; do
        [ "$(stat -c %u:%g:%a "$file")" = "$(id -u):$(id -g):600" ] || fail "$file: $(stat -c %u:%g:%a "$file")"
    done
    [ ! -e captures/http.keys ] || fail "plain HTTP has a key log"
}

# Each connection begins with a SYN. It ends with the client's FIN, answered by a FIN or, if the server's close_notify arrives
# too late, by a reset; no other frame follows the last FIN.
test_first_and_last() {
    local variant
    for variant in http https; do
        tshark -r "captures/$variant.pcap" -T fields -e tcp.stream -e tcp.flags.str -e tcp.len 2>/dev/null \
            >"$work/flags" || fail "tshark: status $?"
        awk -v variant="$variant" '
            function wrong(text) { print variant ": " text; failed = 1 }
            BEGIN { close_notify = variant == "https" ? 24 : 0 }
            { gsub(/[^A-Z]/, "", $2) }
            !($1 in ends) && $2 != "S" { wrong("stream " $1 " begins with " $2 " in frame " NR) }
            { ends[$1] += 0 }
            $2 ~ /[FR]/ { ends[$1]++ }
            $2 ~ /F/ { delete after; delete late; next }
            { after[$1]++; late[$1] += $3 }
            END {
                for (stream in ends) if (ends[stream] < 2) wrong("stream " stream " was not closed by both sides")
                for (stream in after) if (after[stream] > 3 || late[stream] > close_notify)
                    wrong("stream " stream ": " after[stream] " frames with " late[stream] " bytes after the last FIN")
                exit failed
            }' "$work/flags" || fail "the frames above are wrong"
    done
}

# Wireshark shows exactly the requests and answers of the agents' journals: plain HTTP as captured, HTTPS with the key log.
test_follow() {
    python3 - <<'EOF' || fail "tshark and the journals differ"
import json, subprocess, sys
for name in ("http", "https"):
    messages = [json.loads(line) for line in open(f"captures/{name}.agent-a.jsonl")]
    assert len(messages) == 24, f"{name}: {len(messages)} messages"
    options = ["-o", "tls.keylog_file:captures/https.keys"] if name == "https" else []
    kind = "tls" if name == "https" else "tcp"
    def follow(stream, options):
        out = subprocess.run(["tshark", "-r", f"captures/{name}.pcap", "-q", *options, "-z", f"follow,{kind},raw,{stream}"],
                             capture_output=True, text=True, check=True).stdout
        return b"".join(bytes.fromhex(line.strip()) for line in out.splitlines()
                        if line.strip() and all(c in "0123456789abcdef" for c in line.strip()))
    streams = subprocess.run(["tshark", "-r", f"captures/{name}.pcap", "-T", "fields", "-e", "tcp.stream"],
                             capture_output=True, text=True, check=True).stdout.split()
    streams = sorted(set(map(int, streams)))
    shown = b"\n".join(follow(stream, options) for stream in streams)
    missing = [m["message_id"] for m in messages if m["body"].encode() not in shown]
    assert not missing, f"{name}: tshark does not show {missing}"
    if name == "https":
        bare = b"\n".join(follow(stream, []) for stream in streams)
        assert not any(m["body"].encode() in bare for m in messages), "tshark shows messages without the keys"
EOF
}

# Each image holds one static file below 20 MB: no shell, no libc.
test_images() {
    local role size
    for role in agent-a agent-b capturer certgen; do
        docker create --name "plainsight-test-$role" "localhost/plainsight/$role" >/dev/null || fail "no image of $role"
        # Docker adds these to every container.
        docker export "plainsight-test-$role" | tar -t |
            grep -v -e '^dev/' -e '^etc/' -e '^proc/' -e '^sys/' -e '^\.dockerenv$' >"$work/files"
        docker export "plainsight-test-$role" | tar -x -C "$work" "$role"
        docker rm "plainsight-test-$role" >/dev/null
        [ "$(cat "$work/files")" = "$role" ] || fail "$role holds $(cat "$work/files")"
        ! readelf -l "$work/$role" 2>/dev/null | grep -q INTERP || fail "$role is not static"
        size=$(docker image inspect --format '{{.Size}}' "localhost/plainsight/$role")
        ((size < 20000000)) || fail "$role has $size bytes"
        echo "$role: $size bytes"
    done
}

# The engine's view of the containers: read-only, no capability except the capturer's, no new privileges.
test_hardened() {
    local compose=${compose_commands[0]} service expected
    PLAINSIGHT_CAPTURES=$work PLAINSIGHT_ROUTE=host PLAINSIGHT_USER=1234:5678 \
        $compose -f docker-compose.http.yml -p plainsight-test up --no-start >/dev/null 2>&1
    for id in $(docker ps -aq --filter label=com.docker.compose.project=plainsight-test); do
        service=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' "$id")
        expected="true [ALL] [] [no-new-privileges:true] 32 134217728 1234:5678 false"
        if [ "$service" = capturer ]; then
            expected="true [ALL] [NET_RAW SETGID SETUID] [no-new-privileges:true] 32 134217728 0:0 false"
        fi
        seen=$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}} {{.HostConfig.SecurityOpt}} {{.HostConfig.PidsLimit}} {{.HostConfig.Memory}} {{.Config.User}} {{.HostConfig.Privileged}}' "$id" |
            sed 's/CAP_//g; s/NET_RAW SETUID SETGID/NET_RAW SETGID SETUID/')
        [ "$seen" = "$expected" ] || echo "$service: $seen, not $expected"
    done >"$work/wrong"
    docker ps -aq --filter label=com.docker.compose.project=plainsight-test | xargs -r docker rm -f >/dev/null
    docker network ls -q --filter label=com.docker.compose.project=plainsight-test | xargs -r docker network rm >/dev/null
    [ ! -s "$work/wrong" ] || fail "$(cat "$work/wrong")"
}

# Certificates, keys and captures never reach the builder.
test_secrets() {
    local history
    for role in agent-a agent-b capturer certgen; do
        history=$(docker history --no-trunc "localhost/plainsight/$role")
        ! echo "$history" | grep -i -e 'private key' -e '\.key' -e certs/ || fail "$role: its history holds the above"
    done
    # An image of the whole build context.
    printf 'FROM scratch\nCOPY . /\n' >"$work/Everything"
    docker build -q -f "$work/Everything" -t plainsight-test-context . >/dev/null 2>&1 || fail "the context cannot be built"
    docker create --name plainsight-test-context plainsight-test-context none >/dev/null
    docker export plainsight-test-context | tar -t >"$work/context"
    docker rm plainsight-test-context >/dev/null
    docker rmi plainsight-test-context >/dev/null
    ! grep -e '^certs/' -e '^captures/' -e '^target/' -e '^\.git/' "$work/context" || fail "the build context holds the above"
}

# Compose without the script: `docker stop capturer` finishes the capture, `down` removes the rest. Twice, because the second
# run must not append to the journals of the first.
test_by_hand() {
    local compose
    for compose in "${compose_commands[@]}"; do
        mkdir -p "$work/hand"
        export PLAINSIGHT_CAPTURES=$work/hand PLAINSIGHT_USER PLAINSIGHT_ROUTE=host PLAINSIGHT_BINARIES=docker/bin
        PLAINSIGHT_USER=$(id -u):$(id -g)
        for _ in 1 2; do
            for variant in http https; do
                $compose -f "docker-compose.$variant.yml" up --build >"$work/up" 2>&1 &
                local up=$!
                # Most of the time is the build of the images, which is slow on a busy machine.
                for _ in $(seq 1800); do
                    grep -q 'answers, all correct' "$work/up" && break
                    sleep 0.1
                done
                grep -q 'answers, all correct' "$work/up" || {
                    cat "$work/up"
                    $compose -f "docker-compose.$variant.yml" down -v
                    fail "$compose $variant: agent-a did not finish"
                }
                docker stop capturer || fail "docker stop capturer"
                $compose -f "docker-compose.$variant.yml" down -v >"$work/down" 2>&1 || { cat "$work/down"; fail "down"; }
                wait "$up"
                nothing_left
            done
        done
        "${analyze[@]}" --no-output "$work/hand" || fail "analyze: status $?"
        rm -rf "$work/hand"
    done
}

test_taken_port() {
    python3 -c 'import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 8000)); s.listen(); time.sleep(120)' &
    local compose
    taker=$!
    trap 'kill $taker' EXIT
    sleep 1
    for compose in "${compose_commands[@]}"; do
        must_fail 1 "port 8000 on 127.0.0.1 is already in use" run http
    done
}

test_never_healthy() {
    local compose=
    compose_with <<'EOF'
services:
  agent-b:
    healthcheck:
      test: [CMD, /agent-b, healthcheck, "http://127.0.0.1:1/healthz"]
      interval: 100ms
      retries: 3
EOF
    must_fail 1 "agent-b did not become healthy" run http
    grep -q 'does not answer' "$work/err" || fail "the output of the health check is missing"
    compose_with <<'EOF'
services:
  agent-b:
    environment:
      LISTEN: 192.0.2.1:8000
EOF
    must_fail 1 "agent-b exited with status 1 before it was ready" run http
}

test_unwritable() {
    mkdir "$work/closed"
    if [ "$(id -u)" = 0 ]; then
        mount -t tmpfs -o ro none "$work/closed" || fail "no tmpfs"
        trap 'umount "$work/closed"' EXIT
    else
        chmod 500 "$work/closed"
    fi
    PLAINSIGHT_CAPTURES=$work/closed must_fail 1 "cannot write to $work/closed" run http
}

# The journals and the capture need more than 256 KiB.
test_full_disk() {
    [ "$(id -u)" = 0 ] || [ -n "${FULL_DISK:-}" ] || { echo "needs root or a small FULL_DISK"; exit 1; }
    small=${FULL_DISK:-$work/small}
    if [ -z "${FULL_DISK:-}" ]; then
        mkdir "$small"
        mount -t tmpfs -o size=256k,mode=700 none "$small" || fail "no tmpfs"
        trap 'umount "$small"' EXIT
    fi
    PLAINSIGHT_CAPTURES=$small must_fail 1 "last log lines are above" run http
    grep -q -i 'no space left' "$work/err" || fail "the output lacks the reason"
    [ -z "$(ls -A "$small")" ] || fail "files are left in the full folder: $(ls -A "$small")"
}

test_failing_build() {
    local compose=
    compose_with <<'EOF'
services:
  agent-b:
    build:
      target: no-such-stage
EOF
    rm -f docker/bin/*.images
    must_fail 1 "cannot build the images" run http
    DOCKER_BUILD=source RUSTFLAGS='' PLAINSIGHT_RUST_IMAGE=localhost/no/such:image must_fail 1 "cannot build the images" run http
}

# A PATH with the script's tools but without Docker.
bare_path() {
    mkdir -p "$work/bin"
    local tool
    for tool in dirname uname id od tr mkdir sed grep date cat rm sh; do ln -sf "$(command -v $tool)" "$work/bin/$tool"; done
}

test_no_docker() {
    bare_path
    must_fail 2 "Docker is not installed.*make lab" env PATH="$work/bin" docker/run.sh http
    [ "$(wc -l <"$work/err")" = 1 ] || fail "the message has more than one line"
}

test_no_compose() {
    bare_path
    printf '#!/bin/sh\nexit 1\n' >"$work/bin/docker"
    chmod +x "$work/bin/docker"
    must_fail 2 "Docker Compose is not installed.*make lab" env PATH="$work/bin" docker/run.sh http
    # shellcheck disable=SC2016 # $1 is the script's
    printf '#!/bin/sh\n[ "$1" = compose ]\n' >"$work/bin/docker"
    must_fail 2 "the Docker engine does not answer.*make lab" env PATH="$work/bin" docker/run.sh http
}

test_bad_words() {
    must_fail 2 usage docker/run.sh
    must_fail 2 usage docker/run.sh gopher
    DOCKER_BUILD=magic must_fail 2 'unknown value; use source or host' run http
}

# Interrupted at several moments, by Ctrl-C (the whole process group) and by a signal to the script alone.
test_interrupted() {
    local delay
    for delay in 0.3 1 2 3 4; do
        must_fail 130 'interrupted; containers and networks are removed' interrupted_after "$delay" INT
    done
}

test_terminated() {
    must_fail 130 'interrupted; containers and networks are removed' interrupted_after 2 TERM
}

# Runs the script in a process group of its own, as a terminal does.
interrupted_after() {
    python3 - "$@" <<'EOF'
import os, signal, subprocess, sys, time
delay, name, experiment = float(sys.argv[1]), sys.argv[2], (sys.argv[3:] or ["http"])[0]
# A shell starts background jobs with SIGINT ignored, and a shell script cannot reset that.
signal.signal(signal.SIGINT, signal.SIG_DFL)
# Enough messages that the run lasts until the signal.
run = subprocess.Popen(["docker/run.sh", experiment], start_new_session=True, stdout=subprocess.PIPE,
                       env={**os.environ, "PLAINSIGHT_COUNT": "500000"})
time.sleep(delay)
(os.killpg if name == "INT" else os.kill)(run.pid, getattr(signal, "SIG" + name))
run.communicate(timeout=60)
sys.exit(run.returncode)
EOF
}

test_locked() {
    exec 8<captures
    flock -n 8 || fail "captures/ is locked"
    must_fail 1 "another run uses" run http
}

# With every Compose: the page's API, the rights of each container, and the end by Ctrl-C.
test_demo() {
    local compose
    for compose in "${compose_commands[@]}"; do
        rm -f docker/bin/demo.images
        demo_until_ready "$compose"
        docker/demo_client.py "$page" || end_demo "the page's API"
        check_rights || end_demo "the rights above"
        # As Ctrl-C: the signal reaches the whole process group. Sandboxes are being made.
        docker/demo_client.py "$page" say || end_demo "the last message"
        kill -INT -- "-$demo"
        wait "$demo" || fail "$compose: status $?: $(cat "$work/demo.err")"
        grep -q 'nothing is left running' "$work/demo.err" || fail "the last words are missing: $(cat "$work/demo.err")"
        nothing_left
    done
    # The page's image holds static programs and nothing else.
    docker create --name plainsight-test-live localhost/plainsight/live >/dev/null || fail "no image of live"
    mkdir "$work/live"
    docker export plainsight-test-live | tar -x -C "$work/live" --exclude='dev/*' --exclude='etc/*' --exclude=proc --exclude=sys
    docker rm plainsight-test-live >/dev/null
    (cd "$work/live" && find . -type f ! -name .dockerenv | sort | tr '\n' ' ') >"$work/files"
    [ "$(cat "$work/files")" = "./agent-a ./agent-b ./analyze ./capturer ./certgen ./lab ./live ./report " ] || fail "live holds $(cat "$work/files")"
    for program in "$work"/live/[a-z]*; do
        ! readelf -l "$program" 2>/dev/null | grep -q INTERP || fail "$program is not static"
    done
}

# Starts docker/run.sh demo in a process group of its own, and waits for the address of its page.
demo_until_ready() {
    # The job empties it only when it starts, which can be after the first look.
    : >"$work/demo.out"
    # A shell starts background jobs with SIGINT ignored, and a shell script cannot reset that.
    PLAINSIGHT_COMPOSE=$1 python3 -c 'import os, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.setsid()
os.execv("docker/run.sh", ["docker/run.sh", "demo"])' >"$work/demo.out" 2>"$work/demo.err" &
    demo=$!
    # Most of the time is the build of the programs, which is slow on a busy machine.
    for _ in $(seq 12000); do
        page=$(cat "$work/demo.out")
        [ -z "$page" ] || return 0
        kill -0 "$demo" 2>/dev/null || break
        sleep 0.1
    done
    end_demo "the demo did not start"
}

end_demo() {
    cat "$work/demo.err"
    kill "$demo" 2>/dev/null
    wait "$demo"
    fail "${compose:-}: $1"
}

# The engine's view: read-only, no new privileges, capabilities for the capturer alone, the engine's socket for the gateway
# alone, one port, on loopback, and a network that leads nowhere. Prints what is wrong.
check_rights() {
    local id service expected seen wrong=0
    for id in $(docker ps -q --filter label=com.docker.compose.project=plainsight-demo); do
        service=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.service"}}' "$id")
        expected="true [ALL] [] [no-new-privileges:true] $(id -u):$(id -g) false [] "
        case $service in
            wire) expected="true [ALL] [NET_RAW SETGID SETUID] [no-new-privileges:true] 0:0 false [] " ;;
            live) expected="true [ALL] [] [no-new-privileges:true] $(id -u):$(id -g) false [127.0.0.1:3000] " ;;
            gateway) expected+=/var/run/docker.sock ;;
        esac
        seen=$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}} {{.HostConfig.SecurityOpt}} {{.Config.User}} {{.HostConfig.Privileged}} [{{range .HostConfig.PortBindings}}{{range .}}{{.HostIp}}:{{.HostPort}}{{end}}{{end}}] {{range .Mounts}}{{if eq .Destination "/var/run/docker.sock"}}{{.Destination}}{{end}}{{end}}' "$id" |
            sed 's/CAP_//g; s/NET_RAW SETUID SETGID/NET_RAW SETGID SETUID/; s/<no value>/[]/')
        [ "$seen" = "$expected" ] || { echo "$service: $seen, not $expected"; wrong=1; }
    done
    [ -n "$service" ] || { echo "no container runs"; wrong=1; }
    [ "$(docker network inspect --format '{{.Internal}}' plainsight-demo_wire)" = true ] || { echo "the network wire leads out"; wrong=1; }
    return $wrong
}

# Compose without the script. Without the group that may use the engine's socket, the gateway says what it needs.
test_demo_by_hand() {
    local compose up page
    export PLAINSIGHT_ROUTE=host PLAINSIGHT_BINARIES=docker/bin PLAINSIGHT_ENGINE_GROUP
    PLAINSIGHT_ENGINE_GROUP=$(stat -L -c %g /var/run/docker.sock)
    for compose in "${compose_commands[@]}"; do
        # The job empties it only when it starts, which can be after the first look.
        : >"$work/up"
        $compose -f docker-compose.demo.yml up --build >"$work/up" 2>&1 &
        up=$!
        page=
        for _ in $(seq 1800); do
            page=$(grep -o 'http://127.0.0.1:3000/?token=[0-9a-f]*' "$work/up") && break
            kill -0 "$up" 2>/dev/null || break
            sleep 0.1
        done
        if [ -z "$page" ] || ! docker/demo_client.py "$page"; then
            cat "$work/up"
            kill "$up" 2>/dev/null
            wait "$up"
            $compose -f docker-compose.demo.yml down -v
            fail "$compose: the demo by hand"
        fi
        $compose -f docker-compose.demo.yml down -v >"$work/down" 2>&1 || { cat "$work/down"; fail "down"; }
        wait "$up"
        nothing_left
    done
    compose=${compose_commands[0]}
    PLAINSIGHT_ENGINE_GROUP=65533 $compose -f docker-compose.demo.yml up -d >"$work/up" 2>&1
    $compose -f docker-compose.demo.yml logs gateway >"$work/gateway" 2>&1
    $compose -f docker-compose.demo.yml down -v >"$work/down" 2>&1 || { cat "$work/down"; fail "down"; }
    grep -q 'docker.sock: Permission denied.*needs the group that owns the socket' "$work/gateway" || fail "$(cat "$work/up" "$work/gateway")"
    nothing_left
}

test_demo_fails() {
    local compose=
    # Before the page is served, Ctrl-C is an interruption.
    must_fail 130 'interrupted; containers and networks are removed' interrupted_after 1 INT demo
    # A server that cannot start, and a page whose setup is missing.
    compose_with <<'EOF'
services:
  gateway:
    environment:
      LISTEN: 192.0.2.1:8443
EOF
    must_fail 1 "gateway exited with status 1 before" run demo
    grep -q '192.0.2.1:8443' "$work/err" || fail "the gateway's last lines are missing"
    compose_with <<'EOF'
services:
  live:
    environment:
      DEMO: /nowhere.json
EOF
    must_fail 1 "live exited with status 1 before the demo was ready" run demo
    grep -q 'has not made /nowhere.json within 10 s.*start it again' "$work/err" || fail "file and remedy are missing"
    compose=${compose_commands[0]}
    # One that ends later.
    demo_until_ready "$compose"
    docker kill "$(docker ps -q --filter label=com.docker.compose.project=plainsight-demo --filter label=com.docker.compose.service=agent-b-http)"
    ! wait "$demo" || fail "status 0"
    tail -n 1 "$work/demo.err" | grep -q 'agent-b-http exited with status 137' || fail "$(cat "$work/demo.err")"
    nothing_left
    # A taken port.
    python3 -c 'import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 3000)); s.listen(); time.sleep(120)' &
    taker=$!
    trap 'kill $taker' EXIT
    sleep 1
    must_fail 1 "port 3000 on 127.0.0.1 is already in use.*PLAINSIGHT_PAGE_PORT=3001" run demo
}

# The MCP's own client and server in containers: what they send is readable over HTTP, and sealed over TLS.
test_mcp() {
    local compose host image status
    host=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" cargo build --quiet --profile image --locked --target "$host" \
        -p plainsight || fail "plainsight does not build"
    mkdir -p docker/bin examples/mcp/captures examples/mcp/certs
    cp "${CARGO_TARGET_DIR:-target}/$host/image/plainsight" docker/bin/
    PLAINSIGHT_USER=$(id -u):$(id -g)
    export PLAINSIGHT_USER PLAINSIGHT_ROUTE=host PLAINSIGHT_PROGRAM=docker/bin/plainsight
    image=$(sed -n 's/^ARG PYTHON_IMAGE=//p' examples/mcp/Dockerfile)
    docker image inspect "$image" >/dev/null 2>&1 || docker pull -q "$image" || docker/make-offline-image.sh python
    for compose in "${compose_commands[@]}"; do
        rm -f examples/mcp/captures/*
        echo "--- $compose, HTTP"
        mcp_example "$compose" "" >"$work/check" 2>&1
        status=$?
        cat "$work/check"
        [ "$status" = 1 ] || fail "status $status of the check, not 1"
        for found in 'violated sealed.string' 'sk-example-5dc0ffee. can be read' 'at \$.params.arguments.api_key can be read'; do
            grep -q "$found" "$work/check" || fail "the check lacks: $found"
        done
        echo "--- $compose, TLS"
        mcp_example "$compose" examples/mcp/docker-compose.tls.yml || fail "status $? of the check, not 0"
    done
}

main "$@"
