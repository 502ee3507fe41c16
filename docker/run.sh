#!/bin/sh
# Runs an experiment in containers: the comparison's variants http and https, or isolation. Publishes its files in captures/
# only if the whole run succeeded. Or runs the demo in containers, until Ctrl-C.
#
#   docker/run.sh http|https|isolation        (make http, make https, make isolation)
#   docker/run.sh demo                        (make demo-docker)
#
#   DOCKER_BUILD=source|host        how to build the images; default: host on Linux with cargo, else source
#   PLAINSIGHT_COMPOSE=COMMAND      the Compose command, such as "docker compose"; default: the one that is installed
#   PLAINSIGHT_CAPTURES, PLAINSIGHT_CERTS   folders to use instead of captures/ and certs/
#   PLAINSIGHT_PAGE_PORT=PORT      the port of the demo's page; default: 3000
#
# Compose creates the networks and containers of docker-compose.EXPERIMENT.yml; this script waits for them and stops them
# one by one, so that it can report each container's exit status and last log lines. stdout carries only the path of the
# capture, or of isolation.json, or the address of the demo's page.
# Exit status: 0 success, also of a demo that Ctrl-C ended, 1 the run failed, 2 usage error or no Docker, 130 interrupted. The
# script always removes its containers, networks and volumes.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
project='' staging='' child='' phases='' phase='' interrupted='' serving=''

main() {
    if [ $# != 1 ] || [ ! -f "$root/docker-compose.$1.yml" ]; then
        echo "usage: docker/run.sh http|https|isolation|demo" >&2
        exit 2
    fi
    experiment=$1
    cd "$root"
    find_tools
    choose_route
    prepare_folders

    case $experiment in
        demo)
            programs="agent-a agent-b analyze capturer certgen gateway isolation-control lab live report runner"
            demonstrate
            ;;
        isolation)
            # The classic builder builds every stage before the target stage.
            programs="agent-a agent-b capturer certgen gateway isolation-control lab runner"
            isolate
            ;;
        *)
            programs="agent-a agent-b capturer certgen"
            exchange
            ;;
    esac
    leave
    note "$experiment: $phases"
    echo "$published"
}

# The comparison: the two agents exchange their messages.
exchange() {
    enter image
    build_images
    enter start
    start_containers
    enter exchange
    wait_for_agent_a
    enter stop
    stop capturer
    stop agent-b
    remove_containers
    check_files
    publish
}

# The isolation experiment: users send requests to the gateway, then the sandboxes' escape attempts are repeated where they
# can succeed.
isolate() {
    # Only the captures of the refused replays have a key log.
    unset CAPTURE_KEY_LOG
    enter image
    build_images
    enter start
    engine_for_boxes
    up agent-b gateway
    until_ready gateway
    enter settle
    finish_step settle
    finish_step plan
    enter isolated
    start_captures isolated
    send_beacons start
    finish_step user-traffic
    finish_step replay
    send_beacons end
    stop_captures
    enter control
    start_captures control
    send_beacons start
    finish_step control
    finish_step unboxed
    docker logs "$(container unboxed)" >"$staging/isolation.unboxed.boxes.jsonl" 2>/dev/null ||
        fail "docker logs of the container unboxed failed"
    send_beacons end
    stop_captures
    enter identity
    replay_at token
    replay_at mtls
    enter stop
    finish_step record
    stop gateway
    stop agent-b
    remove_containers
    publish_isolation
}

# The replay at a gateway that authenticates its users over TLS: its owner keeps a secret there, and the intruder is refused.
# Only the interface towards the users is captured, with the gateway's key log.
replay_at() {
    PLAINSIGHT_AUTH=$1
    CAPTURE_KEY_LOG=isolation.$1.keys
    export PLAINSIGHT_AUTH CAPTURE_KEY_LOG
    all_capturers=$CAPTURERS
    CAPTURERS=capturer-$(cat "$staging/users-interface")
    start_captures "$1"
    send_beacons start
    up tls-gateway
    until_ready tls-gateway
    finish_step owner
    finish_step intruder
    stop tls-gateway
    rm -f "$staging/tls-gateway.ready"
    send_beacons end
    stop_captures
    CAPTURERS=$all_capturers
    unset CAPTURE_KEY_LOG
}

# The demo: serves the page until Ctrl-C, or until a container ends, which none should.
demonstrate() {
    enter image
    build_images
    enter start
    engine_for_boxes
    start_containers
    wait_for_page
    leave
    note "$experiment: $phases"
    serving=yes
    echo "$page"
    note "Ctrl-C ends the demo"
    watch
}

# --- Tools -----------------------------------------------------------------------------------------------------------

find_tools() {
    command -v docker >/dev/null 2>&1 || no_docker "Docker is not installed"
    compose=${PLAINSIGHT_COMPOSE:-}
    if [ -z "$compose" ]; then
        if docker compose version >/dev/null 2>&1; then
            compose="docker compose"
        elif command -v docker-compose >/dev/null 2>&1; then
            compose=docker-compose
        else
            no_docker "Docker Compose is not installed"
        fi
    fi
    engine=$(docker version --format '{{.Server.Os}}/{{.Server.Arch}}' 2>/dev/null) ||
        no_docker "the Docker engine does not answer"
    compose_version=$($compose version --short 2>/dev/null) || no_docker "\"$compose version\" fails"
}

no_docker() {
    if [ "$experiment" = demo ]; then without="\`make demo\` does the same without Docker"; else
        without="\`make lab\` runs the same experiment without Docker"
    fi
    echo "docker/run.sh: $1; $without" >&2
    exit 2
}

# Uses the host's cargo if the programs that it builds can run in the engine.
choose_route() {
    case $(uname -m) in
        x86_64 | amd64) architecture=amd64 ;;
        aarch64 | arm64) architecture=arm64 ;;
        *) architecture=$(uname -m) ;;
    esac
    route=${DOCKER_BUILD:-}
    reason="set by DOCKER_BUILD"
    if [ -z "$route" ]; then
        if [ "$(uname -s)" = Linux ] && [ "$engine" = "linux/$architecture" ] && command -v cargo >/dev/null 2>&1; then
            route=host reason="Linux with cargo; DOCKER_BUILD=source builds in Docker"
        else
            route=source reason="this host has no cargo for $engine"
        fi
    fi
    case $route in
        host | source) ;;
        *)
            echo "docker/run.sh: DOCKER_BUILD=$route: unknown value; use source or host" >&2
            exit 2
            ;;
    esac
    note "$experiment: $compose $compose_version, image route $route ($reason)"
}

# --- Folders ---------------------------------------------------------------------------------------------------------

prepare_folders() {
    captures=${PLAINSIGHT_CAPTURES:-$root/captures}
    # As `make demo`, so that no other experiment has to wait for its end.
    [ "$experiment" != demo ] || captures=$captures/.demo
    PLAINSIGHT_CERTS=${PLAINSIGHT_CERTS:-$root/certs}
    PLAINSIGHT_RUN_ID=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    PLAINSIGHT_UID=$(id -u)
    PLAINSIGHT_GID=$(id -g)
    PLAINSIGHT_USER=$PLAINSIGHT_UID:$PLAINSIGHT_GID
    umask 077
    mkdir -p "$captures" "$PLAINSIGHT_CERTS" || fail "cannot create the folders $captures and $PLAINSIGHT_CERTS"
    captures=$(CDPATH='' cd -- "$captures" && pwd)
    PLAINSIGHT_CERTS=$(CDPATH='' cd -- "$PLAINSIGHT_CERTS" && pwd)
    lock
    # This run holds the lock, so any staging folder belongs to a run that was killed.
    rm -rf "$captures"/.staging-*
    PLAINSIGHT_CAPTURES=$captures/.staging-$PLAINSIGHT_RUN_ID
    mkdir "$PLAINSIGHT_CAPTURES" 2>/dev/null || fail "cannot write to $captures"
    staging=$PLAINSIGHT_CAPTURES
    project=plainsight-$experiment
    remove_containers
    export PLAINSIGHT_CAPTURES PLAINSIGHT_CERTS PLAINSIGHT_RUN_ID PLAINSIGHT_USER PLAINSIGHT_UID PLAINSIGHT_GID
}

# Allows one run at a time. The lab locks the captures folder too, so they exclude each other; the lock is on the folder
# itself and descriptor 9 holds it, so it ends with this process and cannot be stale. macOS has perl but no flock.
lock() {
    exec 9<"$captures" || fail "cannot open $captures"
    if command -v flock >/dev/null 2>&1; then
        flock -n 9 || fail "another run uses $captures; wait until it ends"
    elif command -v perl >/dev/null 2>&1; then
        perl -e 'open(my $f, "<&=", 9) or exit 0; exit(flock($f, 6) ? 0 : 1)' ||
            fail "another run uses $captures; wait until it ends"
    fi
}

# --- Images ----------------------------------------------------------------------------------------------------------

build_images() {
    PLAINSIGHT_ROUTE=$route
    export PLAINSIGHT_ROUTE
    if [ "$route" = host ]; then
        PLAINSIGHT_BINARIES=docker/bin
        export PLAINSIGHT_BINARIES
        build_programs || fail "cannot build the programs; DOCKER_BUILD=source builds them in Docker"
        ! images_are_current || return 0
    else
        note "$experiment: the first build in Docker takes minutes"
    fi
    log=$staging/build.log
    step "$log" compose build || {
        cat "$log" >&2
        fail "cannot build the images; the build log is above"
    }
    [ "$route" = source ] || state_of_images >"docker/bin/$experiment.images"
}

# The builder takes longer to find its cache current than the experiment takes to run, so the state of the experiment's
# images is recorded beside the programs.
images_are_current() {
    [ -f "docker/bin/$experiment.images" ] && [ "$(state_of_images)" = "$(cat "docker/bin/$experiment.images")" ]
}

state_of_images() {
    cksum Dockerfile .dockerignore "docker-compose.$experiment.yml"
    for program in $programs; do cksum "docker/bin/$program"; done
    sed -n 's/^ *image: //p' "docker-compose.$experiment.yml" | while read -r image; do
        docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || echo "no $image"
    done
}

# Builds static programs into docker/bin. With an explicit target, RUSTFLAGS apply to the programs but not to build scripts.
# Unchanged files keep their time stamp.
build_programs() {
    host=$(rustc -vV | sed -n 's/^host: //p')
    target=${CARGO_TARGET_DIR:-$root/target}
    # shellcheck disable=SC2046,SC2086 # two words for each package: -p and its name
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" attended cargo build --quiet --profile image --locked \
        --target "$host" --target-dir "$target" $(printf -- '-p %s ' $programs) || return 1
    mkdir -p docker/bin
    for program in $programs; do
        cmp -s "$target/$host/image/$program" "docker/bin/$program" ||
            install -m 755 "$target/$host/image/$program" "docker/bin/$program" || return 1
    done
}

# --- Containers ------------------------------------------------------------------------------------------------------

# Call only through `attended`, which starts a process of its own: the process becomes Compose, so a signal reaches Compose.
compose() {
    # shellcheck disable=SC2086 # "docker compose" is two words
    exec $compose -f "docker-compose.$experiment.yml" -p "$project" "$@"
}

# Starts all containers. Compose starts agent-a once agent-b and the capturer are healthy.
start_containers() {
    log=$staging/up.log
    if step "$log" compose up -d --no-build; then up=0; else up=$?; fi
    list_containers
    [ "$up" != 0 ] || return 0
    if grep -q -e 'port is already allocated' -e 'address already in use' "$log"; then
        port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$log" | head -n 1)
        other=
        [ "$experiment" != demo ] || other=", or choose another: PLAINSIGHT_PAGE_PORT=$((${port:-3000} + 1)) make demo-docker"
        fail "port ${port:-of agent-b} on 127.0.0.1 is already in use; stop the program that listens on it$other"
    fi
    for service in certgen agent-b capturer $DEMO_SERVICES; do
        case $(state "$service" Status) in
            exited)
                code=$(state "$service" ExitCode)
                [ "$code" = 0 ] || fail_showing "$service" "$service exited with status $code before it was ready"
                ;;
            running)
                [ "$(state "$service" Health.Status)" != unhealthy ] || fail_showing "$service" "$service did not become healthy"
                ;;
        esac
    done
    cat "$log" >&2
    fail "Compose cannot start the containers; its output is above"
}

list_containers() {
    containers=$(docker ps -a --filter "label=com.docker.compose.project=$project" \
        --format '{{.Label "com.docker.compose.service"}} {{.ID}}')
}

# Prints the id of a service's container; nothing if the experiment has no such service.
container() {
    echo "$containers" | sed -n "s/^$1 //p"
}

wait_for_agent_a() {
    step "$staging/wait.log" docker wait "$(container agent-a)" || fail "the Docker engine stopped answering"
    code=$(state agent-a ExitCode)
    [ "$code" != 0 ] || return 0
    for other in agent-b capturer; do
        [ "$(state "$other" Status)" = running ] || fail_showing "$other" "$other exited during the exchange"
    done
    fail_showing agent-a "agent-a exited with status $code"
}

# --- The demo --------------------------------------------------------------------------------------------------------

# The services that run until the end.
readonly DEMO_SERVICES="wire gateway agent-b-http agent-b-https live"

# The label of the gateway's sandboxes in docker-compose.demo.yml.
readonly DEMO_BOXES=label=plainsight.sandbox=demo-docker

# Waits until live has written the address of the page, with its token.
wait_for_page() {
    page=
    for _ in $(seq 150); do
        # docker-compose 1.29 may start live although a server that it depends on has ended.
        all_run " before the demo was ready"
        page=$(docker logs "$(container live)" 2>/dev/null | grep '^http://' | head -n 1) || :
        [ -z "$page" ] || return 0
        attended sleep 0.1
    done
    fail_showing live "live did not serve the page"
}

# Fails when a service has ended.
watch() {
    while :; do
        all_run ""
        attended sleep 1
    done
}

# Fails if a service does not run: names it, and says $1.
all_run() {
    # shellcheck disable=SC2086 # a word for each service
    set -- "$1" $DEMO_SERVICES
    [ "$(docker ps -q --filter "label=com.docker.compose.project=$project" --filter status=running | wc -l)" -lt $(($# - 1)) ] ||
        return 0
    when=$1
    shift
    for service in "$@"; do
        case $(state "$service" Status) in
            running) ;;
            '') fail "the container of $service is gone" ;;
            *) fail_showing "$service" "$service exited with status $(state "$service" ExitCode)$when" ;;
        esac
    done
}

# --- The isolation experiment ----------------------------------------------------------------------------------------

CAPTURERS="capturer-eth0 capturer-eth1 capturer-lo"

# The gateway and the control create sandboxes: they need the engine's socket and, on Linux, the group that may use it.
engine_for_boxes() {
    case ${DOCKER_HOST:-} in
        unix://*) PLAINSIGHT_ENGINE_SOCKET=${DOCKER_HOST#unix://} ;;
        '') PLAINSIGHT_ENGINE_SOCKET=/var/run/docker.sock ;;
        *) fail "DOCKER_HOST=$DOCKER_HOST: the gateway mounts the engine's socket, so it needs a unix:// address" ;;
    esac
    PLAINSIGHT_ENGINE_GROUP=0
    if [ "$(uname -s)" = Linux ]; then
        PLAINSIGHT_ENGINE_GROUP=$(stat -L -c %g "$PLAINSIGHT_ENGINE_SOCKET") || fail "cannot find the engine's socket $PLAINSIGHT_ENGINE_SOCKET"
    fi
    export PLAINSIGHT_ENGINE_SOCKET PLAINSIGHT_ENGINE_GROUP
}

# Starts exactly the given services, without their dependencies.
up() {
    log=$staging/up.log
    if step "$log" compose up -d --no-build --no-deps "$@"; then up=0; else up=$?; fi
    list_containers
    [ "$up" = 0 ] || {
        cat "$log" >&2
        fail "Compose cannot start $*; its output is above"
    }
}

# Waits until a gateway listens.
until_ready() {
    for _ in $(seq 100); do
        [ ! -e "$staging/$1.ready" ] || return 0
        [ "$(state "$1" Status)" = running ] || fail_showing "$1" "$1 exited before it was ready"
        attended sleep 0.1
    done
    fail_showing "$1" "$1 did not become ready"
}

start_captures() {
    PLAINSIGHT_PHASE=$1
    export PLAINSIGHT_PHASE
    # shellcheck disable=SC2086 # a word for each service
    up $CAPTURERS
    for capturer in $CAPTURERS; do
        for _ in $(seq 100); do
            [ "$(state "$capturer" Health.Status)" != healthy ] || continue 2
            [ "$(state "$capturer" Status)" = running ] || fail_showing "$capturer" "$capturer exited before it was ready"
            attended sleep 0.1
        done
        fail_showing "$capturer" "$capturer did not become healthy"
    done
}

# The host sends a frame on each interface, so that an empty capture is known to be alive.
send_beacons() {
    PLAINSIGHT_MOMENT=$1
    export PLAINSIGHT_MOMENT
    finish_step beacon
}

stop_captures() {
    for capturer in $CAPTURERS; do
        stop "$capturer"
    done
}

# Starts a service that does one step, and waits until it exits.
finish_step() {
    up "$1"
    step "$staging/wait.log" docker wait "$(container "$1")" || fail "the Docker engine stopped answering"
    code=$(state "$1" ExitCode)
    [ "$code" = 0 ] || fail_showing "$1" "$1 exited with status $code"
}

# Replaces the files of the last isolation run. isolation.json, which names the others, is moved last.
publish_isolation() {
    [ -s "$staging/isolation.json" ] || fail "the run left no isolation.json"
    rm -f "$captures"/isolation.*
    for file in "$staging"/isolation.*; do
        case $file in
            */isolation.json) ;;
            *) mv -f "$file" "$captures/" || fail "cannot move $file to $captures" ;;
        esac
    done
    mv -f "$staging/isolation.json" "$captures/" || fail "cannot move isolation.json to $captures"
    published=$captures/isolation.json
    published=${published#"$root/"}
}

# Longer than the capturer drains and agent-b finishes its requests.
readonly STOP_SECONDS=15

stop() {
    step "$staging/stop.log" docker stop -t "$STOP_SECONDS" "$(container "$1")" || fail "cannot stop $1"
    code=$(state "$1" ExitCode)
    [ "$code" = 0 ] || fail_showing "$1" "$1 exited with status $code"
}

# Prints a field of a container's state, such as ExitCode; nothing if there is no such container.
state() {
    id=$(container "$1")
    [ -z "$id" ] || docker inspect --format "{{.State.$2}}" "$id" 2>/dev/null || :
}

# Prints a container's last log lines and health-check output, then fails.
fail_showing() {
    docker logs --tail "$LOG_TAIL_LINES" "$(container "$1")" >&2 || :
    docker inspect --format '{{if .State.Health}}{{range .State.Health.Log}}{{println .Output}}{{end}}{{end}}' \
        "$(container "$1")" | sed '/^ *$/d' | tail -n 1 >&2
    fail "$2; its last log lines are above"
}

# A program prints the reason of its failure last.
readonly LOG_TAIL_LINES=10

# Removes by label: this needs no Compose, and finds what a killed run left behind.
remove_containers() {
    label=label=com.docker.compose.project=$project
    for id in $(docker ps -aq --filter "$label"); do
        docker rm -f -v "$id" >/dev/null 2>&1 || :
    done
    if [ "$experiment" = demo ]; then
        # Sandboxes that the gateway had no time to remove.
        for id in $(docker ps -aq --filter "$DEMO_BOXES"); do
            docker rm -f -v "$id" >/dev/null 2>&1 || :
        done
    fi
    for id in $(docker network ls -q --filter "$label"); do
        docker network rm "$id" >/dev/null 2>&1 || :
    done
    for id in $(docker volume ls -q --filter "$label"); do
        docker volume rm "$id" >/dev/null 2>&1 || :
    done
}

# --- Files -----------------------------------------------------------------------------------------------------------

# Refuses a capture whose manifest does not show that it is complete.
check_files() {
    manifest=$staging/$experiment.manifest.json
    [ -s "$manifest" ] || fail "the capturer wrote no manifest"
    for fact in "\"run_id\": *\"$PLAINSIGHT_RUN_ID\"" '"finished": *true' '"kernel_drops": *0' \
        '"truncated_frames": *0' '"backend": *"docker"'; do
        grep -q "$fact" "$manifest" || fail "the capture is not complete: its manifest lacks $fact"
    done
    ! grep -q '"frames": *0' "$manifest" || fail "the capture holds no frames"
    for file in $(files); do
        [ -s "$staging/$file" ] || fail "$file is missing or empty"
    done
}

# Prints the names of the run's files, the manifest last.
files() {
    echo "$experiment.pcap $experiment.agent-a.jsonl $experiment.agent-b.jsonl"
    if grep -q "\"key_log\": *\"" "$staging/$experiment.manifest.json"; then
        echo "$experiment.keys"
    fi
    echo "$experiment.manifest.json"
}

# Replaces the files of the variant's last run, of any backend. The old manifest is removed first and the new one moved last:
# if the script is killed in between, the folder holds a capture without a manifest, never a manifest of another capture.
publish() {
    rm -f "$captures/$experiment.manifest.json" "$captures/$experiment.keys" || fail "cannot replace files in $captures"
    for file in $(files); do
        mv -f "$staging/$file" "$captures/$file" || fail "cannot move $file to $captures"
    done
    rm -rf "$captures/$experiment.partial" "$captures/$experiment.partial.pcap" "$captures/$experiment.partial.manifest.json"
    published=$captures/$experiment.pcap
    published=${published#"$root/"}
}

# --- Control flow ----------------------------------------------------------------------------------------------------

enter() {
    leave
    phase=$1
    since=$(now)
}

leave() {
    [ -n "$phase" ] || return 0
    took=$(($(now) - since))
    phases="$phases${phases:+, }$phase $((took / 1000)).$(printf %02d $((took % 1000 / 10))) s"
    phase=''
}

# Prints the time in milliseconds; in whole seconds where date has no finer unit (macOS).
now() {
    nanoseconds=$(date +%s%N)
    case $nanoseconds in
        *N) echo "${nanoseconds%N}000" ;;
        *) echo $((nanoseconds / 1000000)) ;;
    esac
}

# Runs a command and writes its output to a file.
step() {
    output=$1
    shift
    attended "$@" >"$output" 2>&1
}

# Runs a command in the background and waits for it, so that the shell handles a signal at once and not after the command.
attended() {
    "$@" &
    child=$!
    if wait "$child"; then code=0; else code=$?; fi
    child=''
    return "$code"
}

note() {
    echo "$*" >&2
}

fail() {
    echo "docker/run.sh: $experiment: $1" >&2
    exit 1
}

# Cleans up, on every exit.
finish() {
    status=$?
    trap '' HUP INT TERM
    if [ -n "$child" ]; then
        kill "$child" 2>/dev/null || :
        wait "$child" 2>/dev/null || :
    fi
    if [ -n "$project" ]; then
        remove_containers
        if [ -n "$interrupted" ]; then
            # The engine may still finish requests that Compose made before it was stopped.
            sleep 1
            remove_containers
        fi
    fi
    if [ -n "$staging" ]; then
        rm -rf "$staging"
        [ "$experiment" != demo ] || rmdir "$captures" 2>/dev/null || :
    fi
    if [ -n "$interrupted" ] && [ -n "$serving" ]; then
        note "ended; nothing is left running"
        status=0
    elif [ -n "$interrupted" ]; then
        note "docker/run.sh: $experiment: interrupted; containers and networks are removed"
    fi
    exit "$status"
}
trap finish EXIT
trap 'interrupted=yes; exit 130' HUP INT TERM

main "$@"
