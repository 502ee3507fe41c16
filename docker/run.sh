#!/bin/sh
# Runs one variant of the experiment, or the isolation experiment, in containers, and puts its files into captures/ if, and
# only if, all went well.
#
#   docker/run.sh http|https|isolation        (make http, make https, make isolation)
#
#   DOCKER_BUILD=source|host        how the images are made; left out: host on Linux with cargo, else source
#   PLAINSIGHT_COMPOSE=COMMAND      the Compose to use, such as "docker compose"; left out: whichever is there
#   PLAINSIGHT_CAPTURES, PLAINSIGHT_CERTS   folders other than captures/ and certs/
#
# Compose makes the networks and the containers from docker-compose.VARIANT.yml; they are started and stopped one by one
# from here, so that each one's end and last words are known. stdout carries the path of the capture (of the isolation
# experiment: of isolation.json) and nothing else.
# Exit status: 0 done, 1 the run failed, 2 wrong usage or no Docker, 130 interrupted. Whatever happens, no container and
# no network stays.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
project='' staging='' child='' phases='' phase='' interrupted=''

main() {
    if [ $# != 1 ] || [ ! -f "$root/docker-compose.$1.yml" ]; then
        echo "usage: docker/run.sh http|https|isolation" >&2
        exit 2
    fi
    variant=$1
    cd "$root"
    find_tools
    choose_route
    prepare_folders

    case $variant in
        isolation)
            # The classic builder makes every image that stands before the one it is asked for.
            programs="agent-a agent-b capturer certgen gateway lab runner"
            isolate
            ;;
        *)
            programs="agent-a agent-b capturer certgen"
            exchange
            ;;
    esac
    leave
    note "$variant: $phases"
    echo "$published"
}

# The two agents talk.
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

# Users talk to the gateway; then the boxes' attempts are repeated where they can succeed.
isolate() {
    enter image
    build_images
    enter start
    engine_for_boxes
    up agent-b gateway
    until_ready
    enter settle
    attended sleep "$SETTLE_SECONDS"
    enter isolated
    start_captures isolated
    finish_step talk
    finish_step intrude
    stop_captures
    enter control
    start_captures control
    finish_step control
    finish_step unboxed
    docker logs "$(container unboxed)" >"$staging/isolation.unboxed.boxes.jsonl" 2>/dev/null ||
        fail "the engine does not tell what unboxed said"
    stop_captures
    enter stop
    finish_step record
    stop gateway
    stop agent-b
    remove_containers
    publish_isolation
}

# --- What there is -------------------------------------------------------------------------------------------------

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
        no_docker "no Docker engine answers"
    compose_version=$($compose version --short 2>/dev/null) || no_docker "\"$compose\" does not work"
}

no_docker() {
    echo "docker/run.sh: $1; \`make lab\` runs the same experiment without Docker" >&2
    exit 2
}

# The host's own cargo is taken where what it builds runs in the engine.
choose_route() {
    case $(uname -m) in
        x86_64 | amd64) architecture=amd64 ;;
        aarch64 | arm64) architecture=arm64 ;;
        *) architecture=$(uname -m) ;;
    esac
    route=${DOCKER_BUILD:-}
    reason="DOCKER_BUILD says so"
    if [ -z "$route" ]; then
        if [ "$(uname -s)" = Linux ] && [ "$engine" = "linux/$architecture" ] && command -v cargo >/dev/null 2>&1; then
            route=host reason="Linux with cargo; DOCKER_BUILD=source builds in Docker"
        else
            route=source reason="no cargo for $engine here"
        fi
    fi
    case $route in
        host | source) ;;
        *)
            echo "docker/run.sh: DOCKER_BUILD is \"$route\", not \"source\" or \"host\"" >&2
            exit 2
            ;;
    esac
    note "$variant: $compose $compose_version, images by route $route ($reason)"
}

# --- Folders -------------------------------------------------------------------------------------------------------

prepare_folders() {
    captures=${PLAINSIGHT_CAPTURES:-$root/captures}
    PLAINSIGHT_CERTS=${PLAINSIGHT_CERTS:-$root/certs}
    PLAINSIGHT_RUN_ID=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    PLAINSIGHT_USER=$(id -u):$(id -g)
    umask 077
    mkdir -p "$captures" "$PLAINSIGHT_CERTS" || fail "cannot make the folders $captures and $PLAINSIGHT_CERTS"
    captures=$(CDPATH='' cd -- "$captures" && pwd)
    PLAINSIGHT_CERTS=$(CDPATH='' cd -- "$PLAINSIGHT_CERTS" && pwd)
    lock
    # We hold the lock: what another run left there is of one that was killed.
    rm -rf "$captures"/.staging-*
    PLAINSIGHT_CAPTURES=$captures/.staging-$PLAINSIGHT_RUN_ID
    mkdir "$PLAINSIGHT_CAPTURES" 2>/dev/null || fail "cannot write to $captures"
    staging=$PLAINSIGHT_CAPTURES
    project=plainsight-$variant
    remove_containers
    export PLAINSIGHT_CAPTURES PLAINSIGHT_CERTS PLAINSIGHT_RUN_ID PLAINSIGHT_USER
}

# One run at a time, and none while the lab is at work: both lock the folder itself, so no lock can be stale. The lock is
# descriptor 9's and ends with this process. macOS has no flock, but perl.
lock() {
    exec 9<"$captures" || fail "cannot open $captures"
    if command -v flock >/dev/null 2>&1; then
        flock -n 9 || fail "another run is at work in $captures"
    elif command -v perl >/dev/null 2>&1; then
        perl -e 'open(my $f, "<&=", 9) or exit 0; exit(flock($f, 6) ? 0 : 1)' ||
            fail "another run is at work in $captures"
    fi
}

# --- Images --------------------------------------------------------------------------------------------------------

build_images() {
    PLAINSIGHT_ROUTE=$route
    export PLAINSIGHT_ROUTE
    if [ "$route" = host ]; then
        PLAINSIGHT_BINARIES=docker/bin
        export PLAINSIGHT_BINARIES
        build_programs || fail "building the programs failed; DOCKER_BUILD=source builds them in Docker"
        ! images_are_current || return 0
    else
        note "$variant: building in Docker takes minutes the first time"
    fi
    log=$staging/build.log
    step "$log" compose build || {
        cat "$log" >&2
        fail "building the images failed; the reason is above"
    }
    [ "$route" = source ] || state_of_images >"docker/bin/$variant.images"
}

# Asking the builder takes longer than the whole experiment, so what the images of this variant were made from is noted
# beside the programs.
images_are_current() {
    [ -f "docker/bin/$variant.images" ] && [ "$(state_of_images)" = "$(cat "docker/bin/$variant.images")" ]
}

state_of_images() {
    cksum Dockerfile .dockerignore "docker-compose.$variant.yml"
    for program in $programs; do cksum "docker/bin/$program"; done
    sed -n 's/^ *image: //p' "docker-compose.$variant.yml" | while read -r image; do
        docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || echo "no $image"
    done
}

# Static programs in docker/bin. Only with an explicit target do the flags apply to the programs and not to what runs while
# building them. A file that stays the same is left alone.
build_programs() {
    host=$(rustc -vV | sed -n 's/^host: //p')
    target=${CARGO_TARGET_DIR:-$root/target}
    # shellcheck disable=SC2046,SC2086 # a word for each package, and its -p
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" attended cargo build --quiet --profile image --locked \
        --target "$host" --target-dir "$target" $(printf -- '-p %s ' $programs) || return 1
    mkdir -p docker/bin
    for program in $programs; do
        cmp -s "$target/$host/image/$program" "docker/bin/$program" ||
            install -m 755 "$target/$host/image/$program" "docker/bin/$program" || return 1
    done
}

# --- Containers ----------------------------------------------------------------------------------------------------

# Only by way of `attended`, in a process of its own, which becomes Compose: a signal to it is a signal to Compose.
compose() {
    # shellcheck disable=SC2086 # two words in "docker compose"
    exec $compose -f "docker-compose.$variant.yml" -p "$project" "$@"
}

# All of them: Compose holds agent-a back until agent-b and the capturer are healthy.
start_containers() {
    log=$staging/up.log
    if step "$log" compose up -d --no-build; then up=0; else up=$?; fi
    list_containers
    [ "$up" != 0 ] || return 0
    if grep -q -e 'port is already allocated' -e 'address already in use' "$log"; then
        port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$log" | head -n 1)
        fail "port ${port:-of agent-b} on 127.0.0.1 is taken by something else on this machine"
    fi
    for service in certgen agent-b capturer; do
        case $(state "$service" Status) in
            exited)
                code=$(state "$service" ExitCode)
                [ "$code" = 0 ] || fail_showing "$service" "$service ended with status $code before it was ready"
                ;;
            running)
                [ "$(state "$service" Health.Status)" != unhealthy ] || fail_showing "$service" "$service never got healthy"
                ;;
        esac
    done
    cat "$log" >&2
    fail "Compose could not start the containers; the reason is above"
}

list_containers() {
    containers=$(docker ps -a --filter "label=com.docker.compose.project=$project" \
        --format '{{.Label "com.docker.compose.service"}} {{.ID}}')
}

# The id of a service's container, empty if the variant has no such service.
container() {
    echo "$containers" | sed -n "s/^$1 //p"
}

wait_for_agent_a() {
    step "$staging/wait.log" docker wait "$(container agent-a)" || fail "the Docker engine is gone"
    code=$(state agent-a ExitCode)
    [ "$code" != 0 ] || return 0
    for other in agent-b capturer; do
        [ "$(state "$other" Status)" = running ] || fail_showing "$other" "$other ended during the exchange"
    done
    fail_showing agent-a "agent-a ended with status $code"
}

# --- The isolation experiment --------------------------------------------------------------------------------------

# The kernel itself talks on a new link: it tries its address for a second (RFC 4862, 5.4) and reports what it listens to for
# two (RFC 3810, 9.11). Nothing may be on the wire that no box could have sent.
readonly SETTLE_SECONDS=6

readonly CAPTURERS="capturer-eth0 capturer-eth1 capturer-lo"

# The gateway and the control make boxes: they need the engine's socket and, on Linux, the group that may use it.
engine_for_boxes() {
    case ${DOCKER_HOST:-} in
        unix://*) PLAINSIGHT_ENGINE_SOCKET=${DOCKER_HOST#unix://} ;;
        '') PLAINSIGHT_ENGINE_SOCKET=/var/run/docker.sock ;;
        *) fail "the engine at $DOCKER_HOST has no socket that a container could be given" ;;
    esac
    PLAINSIGHT_ENGINE_GROUP=0
    if [ "$(uname -s)" = Linux ]; then
        PLAINSIGHT_ENGINE_GROUP=$(stat -L -c %g "$PLAINSIGHT_ENGINE_SOCKET") || fail "there is no $PLAINSIGHT_ENGINE_SOCKET"
    fi
    export PLAINSIGHT_ENGINE_SOCKET PLAINSIGHT_ENGINE_GROUP
}

# Starts these services, and nothing that they do not name.
up() {
    log=$staging/up.log
    if step "$log" compose up -d --no-build --no-deps "$@"; then up=0; else up=$?; fi
    list_containers
    [ "$up" = 0 ] || {
        cat "$log" >&2
        fail "Compose could not start $*; the reason is above"
    }
}

# Until the gateway listens.
until_ready() {
    for _ in $(seq 100); do
        [ ! -e "$staging/gateway.ready" ] || return 0
        [ "$(state gateway Status)" = running ] || fail_showing gateway "the gateway ended before it was ready"
        attended sleep 0.1
    done
    fail_showing gateway "the gateway never got ready"
}

start_captures() {
    PLAINSIGHT_PHASE=$1
    export PLAINSIGHT_PHASE
    # shellcheck disable=SC2086 # three services
    up $CAPTURERS
    for capturer in $CAPTURERS; do
        for _ in $(seq 100); do
            [ "$(state "$capturer" Health.Status)" != healthy ] || continue 2
            [ "$(state "$capturer" Status)" = running ] || fail_showing "$capturer" "$capturer ended before it was ready"
            attended sleep 0.1
        done
        fail_showing "$capturer" "$capturer never got healthy"
    done
}

stop_captures() {
    for capturer in $CAPTURERS; do
        stop "$capturer"
    done
}

# A container that does one thing and ends.
finish_step() {
    up "$1"
    step "$staging/wait.log" docker wait "$(container "$1")" || fail "the Docker engine is gone"
    code=$(state "$1" ExitCode)
    [ "$code" = 0 ] || fail_showing "$1" "$1 ended with status $code"
}

# Replaces the last isolation run, the file that speaks for it last.
publish_isolation() {
    [ -s "$staging/isolation.json" ] || fail "there is no isolation.json"
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

# Longer than the capturer reads on at most, and agent-b finishes in.
readonly STOP_SECONDS=15

stop() {
    step "$staging/stop.log" docker stop -t "$STOP_SECONDS" "$(container "$1")" || fail "$1 could not be stopped"
    code=$(state "$1" ExitCode)
    [ "$code" = 0 ] || fail_showing "$1" "$1 ended with status $code"
}

# A field of a container's state, such as ExitCode; nothing if there is no such container.
state() {
    id=$(container "$1")
    [ -z "$id" ] || docker inspect --format "{{.State.$2}}" "$id" 2>/dev/null || :
}

# What a container said last, then why it matters.
fail_showing() {
    docker logs --tail "$LAST_WORDS" "$(container "$1")" >&2 || :
    docker inspect --format '{{if .State.Health}}{{range .State.Health.Log}}{{println .Output}}{{end}}{{end}}' \
        "$(container "$1")" | sed '/^ *$/d' | tail -n 1 >&2
    fail "$2; its last words are above"
}

# Lines; the reason is in the last ones.
readonly LAST_WORDS=10

# By label, so that it needs no Compose and finds what a killed run left, whatever was interrupted.
remove_containers() {
    label=label=com.docker.compose.project=$project
    for id in $(docker ps -aq --filter "$label"); do
        docker rm -f -v "$id" >/dev/null 2>&1 || :
    done
    for id in $(docker network ls -q --filter "$label"); do
        docker network rm "$id" >/dev/null 2>&1 || :
    done
}

# --- Files ---------------------------------------------------------------------------------------------------------

# What the manifest must say for the capture to be worth keeping.
check_files() {
    manifest=$staging/$variant.manifest.json
    [ -s "$manifest" ] || fail "the capturer left no manifest"
    for fact in "\"run_id\": *\"$PLAINSIGHT_RUN_ID\"" '"finished": *true' '"kernel_drops": *0' \
        '"truncated_frames": *0' '"backend": *"docker"'; do
        grep -q "$fact" "$manifest" || fail "the capture is not whole: its manifest does not say $fact"
    done
    ! grep -q '"frames": *0' "$manifest" || fail "the capture holds no frames"
    for file in $(files); do
        [ -s "$staging/$file" ] || fail "$file is missing or empty"
    done
}

# The files of the run, the manifest last.
files() {
    echo "$variant.pcap $variant.agent-a.jsonl $variant.agent-b.jsonl"
    if grep -q "\"key_log\": *\"" "$staging/$variant.manifest.json"; then
        echo "$variant.keys"
    fi
    echo "$variant.manifest.json"
}

# Replaces the variant's last run, whichever backend made it. The old manifest goes first and the new one comes last: killed
# in between, the folder holds a capture without a manifest, never a manifest that vouches for another capture.
publish() {
    rm -f "$captures/$variant.manifest.json" "$captures/$variant.keys" || fail "cannot replace files in $captures"
    for file in $(files); do
        mv -f "$staging/$file" "$captures/$file" || fail "cannot move $file to $captures"
    done
    rm -rf "$captures/$variant.partial" "$captures/$variant.partial.pcap" "$captures/$variant.partial.manifest.json"
    published=$captures/$variant.pcap
    published=${published#"$root/"}
}

# --- How it goes ---------------------------------------------------------------------------------------------------

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

# Milliseconds; whole seconds where date knows no finer ones (macOS).
now() {
    nanoseconds=$(date +%s%N)
    case $nanoseconds in
        *N) echo "${nanoseconds%N}000" ;;
        *) echo $((nanoseconds / 1000000)) ;;
    esac
}

# Runs a command whose words go to a file.
step() {
    words=$1
    shift
    attended "$@" >"$words" 2>&1
}

# Runs a command in the background and waits, so that a signal is handled at once and not after it.
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
    echo "docker/run.sh: $variant: $1" >&2
    exit 1
}

# However this ends.
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
            # What the engine had been asked for when Compose was stopped may be made a moment later.
            sleep 1
            remove_containers
        fi
    fi
    [ -z "$staging" ] || rm -rf "$staging"
    [ -z "$interrupted" ] || note "docker/run.sh: $variant: interrupted; containers and network are removed"
    exit "$status"
}
trap finish EXIT
trap 'interrupted=yes; exit 130' HUP INT TERM

main "$@"
