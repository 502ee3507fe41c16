# One image for each program. An image holds static binaries only: no shell, no libc. Images of programs that create
# sandboxes also hold the runner, and the page's image the programs of the experiment that it runs.
# Two routes lead to the same images; --target selects one:
#
#   source-NAME   builds on the official Rust image; needs only Docker
#   host-NAME     copies programs that cargo built into docker/bin on a Linux host; pulls nothing, takes seconds
#
# The order of the stages matters. BuildKit builds the stages that a target needs; the classic builder builds every stage
# before it. So the cheap host stages come first. When the classic builder passes through them on its way to source-NAME,
# docker/bin may be missing: BINARIES then names a folder that always exists, and the resulting images are not used. The file
# avoids `RUN --mount`, which the classic builder does not support, and `# syntax=`, which needs the network.

ARG RUST_IMAGE=rust:1.95-slim-bookworm

# The one program, for examples/sidecar.yml. It comes first and names its file, so that it needs no other program.
FROM scratch AS host-plainsight
ARG PROGRAM=Cargo.toml
COPY ${PROGRAM} /
ENTRYPOINT ["/plainsight"]

FROM scratch AS host-agent-a
ARG BINARIES=crates
COPY ${BINARIES}/agent-a /agent-a
ENTRYPOINT ["/agent-a"]

FROM scratch AS host-agent-b
ARG BINARIES=crates
COPY ${BINARIES}/agent-b /agent-b
ENTRYPOINT ["/agent-b"]

FROM scratch AS host-capturer
ARG BINARIES=crates
COPY ${BINARIES}/capturer /capturer
ENTRYPOINT ["/capturer"]

FROM scratch AS host-certgen
ARG BINARIES=crates
COPY ${BINARIES}/certgen /certgen
ENTRYPOINT ["/certgen"]

FROM scratch AS host-gateway
ARG BINARIES=crates
COPY ${BINARIES}/gateway ${BINARIES}/runner /
ENTRYPOINT ["/gateway"]

FROM scratch AS host-lab
ARG BINARIES=crates
COPY ${BINARIES}/lab ${BINARIES}/certgen ${BINARIES}/gateway ${BINARIES}/isolation-control ${BINARIES}/runner /
ENTRYPOINT ["/lab"]

# The page runs the comparison of HTTP and HTTPS in its own container.
FROM scratch AS host-live
ARG BINARIES=crates
COPY ${BINARIES}/live ${BINARIES}/lab ${BINARIES}/agent-a ${BINARIES}/agent-b ${BINARIES}/capturer ${BINARIES}/certgen \
    ${BINARIES}/analyze ${BINARIES}/report /
ENTRYPOINT ["/live"]

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# The base image has all that the build needs: cargo, gcc (for aws-lc) and the certificates to fetch crates. Behind a proxy,
# set HTTPS_PROXY, which Docker passes without an ARG, or use another base image.
COPY . .
# With an explicit target, RUSTFLAGS apply to the programs but not to build scripts.
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile image --locked --target "$host" --target-dir /target \
        -p agent-a -p agent-b -p capturer -p certgen \
    && mkdir /programs \
    && cd "/target/$host/image" \
    && cp agent-a agent-b capturer certgen /programs/ \
    && rm -rf /target

FROM scratch AS source-agent-a
COPY --from=build /programs/agent-a /agent-a
ENTRYPOINT ["/agent-a"]

FROM scratch AS source-agent-b
COPY --from=build /programs/agent-b /agent-b
ENTRYPOINT ["/agent-b"]

FROM scratch AS source-capturer
COPY --from=build /programs/capturer /capturer
ENTRYPOINT ["/capturer"]

FROM scratch AS source-certgen
COPY --from=build /programs/certgen /certgen
ENTRYPOINT ["/certgen"]

# The further programs of the isolation experiment, in a stage of their own so that other targets do not build them.
FROM build AS build-boxes
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile image --locked --target "$host" --target-dir /target \
        -p gateway -p isolation-control -p lab -p runner \
    && cd "/target/$host/image" \
    && cp gateway isolation-control lab runner /programs/ \
    && rm -rf /target

FROM scratch AS source-gateway
COPY --from=build-boxes /programs/gateway /programs/runner /
ENTRYPOINT ["/gateway"]

FROM scratch AS source-lab
COPY --from=build-boxes /programs/lab /programs/certgen /programs/gateway /programs/isolation-control /programs/runner /
ENTRYPOINT ["/lab"]

# The further programs of the page.
FROM build-boxes AS build-page
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile image --locked --target "$host" --target-dir /target \
        -p analyze -p live -p report \
    && cd "/target/$host/image" \
    && cp analyze live report /programs/ \
    && rm -rf /target

FROM scratch AS source-live
COPY --from=build-page /programs/live /programs/lab /programs/agent-a /programs/agent-b /programs/capturer /programs/certgen \
    /programs/analyze /programs/report /
ENTRYPOINT ["/live"]

# The one program.
FROM build AS build-plainsight
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile image --locked --target "$host" --target-dir /target \
        -p plainsight \
    && cp "/target/$host/image/plainsight" /programs/ \
    && rm -rf /target

FROM scratch AS source-plainsight
COPY --from=build-plainsight /programs/plainsight /plainsight
ENTRYPOINT ["/plainsight"]
