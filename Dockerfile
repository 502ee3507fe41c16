# The programs, each in an image of its own that holds static binaries and nothing else: no shell, no libc. Most hold one;
# those that make boxes hold the runner as well.
# Two routes to the same images, picked by --target:
#
#   source-NAME   built here, on the official Rust image: needs nothing but Docker
#   host-NAME     built before, on a Linux host with cargo, into docker/bin: pulls nothing, takes seconds
#
# The order of the stages matters. BuildKit builds what a target needs; the classic builder builds every stage that
# stands before it. So the host's stages come first, where nothing expensive stands before them. When the classic builder
# passes through them on its way to source-NAME there may be no docker/bin: BINARIES then names a folder that is always
# there, and what it copies lands in images that nobody uses. `RUN --mount` and `# syntax=` are left out because the
# classic builder does not know the one and the other needs the network.

ARG RUST_IMAGE=rust:1.95-slim-bookworm

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
COPY ${BINARIES}/lab ${BINARIES}/runner /
ENTRYPOINT ["/lab"]

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# The base image has what building takes: cargo, gcc (for aws-lc) and the certificates to fetch crates with. What a CI
# behind a proxy needs beyond that is given as HTTPS_PROXY, which Docker knows without an ARG, or in the base image.
COPY . .
# Only with an explicit target do the flags apply to the programs and not to what runs while building them.
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

# What the isolation experiment takes beside these, so that nobody else waits for it.
FROM build AS build-boxes
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile image --locked --target "$host" --target-dir /target \
        -p gateway -p lab -p runner \
    && cd "/target/$host/image" \
    && cp gateway lab runner /programs/ \
    && rm -rf /target

FROM scratch AS source-gateway
COPY --from=build-boxes /programs/gateway /programs/runner /
ENTRYPOINT ["/gateway"]

FROM scratch AS source-lab
COPY --from=build-boxes /programs/lab /programs/runner /
ENTRYPOINT ["/lab"]
