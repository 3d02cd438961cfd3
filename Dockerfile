# syntax=docker/dockerfile:1
# An image with safelight, the libraries that it needs, certificates, and nothing else: no shell, no package manager.
#   docker build -t safelight .
#   docker run -p 8080:8080 -v "$PWD/examples/photos:/pictures:ro" safelight serve /pictures
FROM rust:1-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates cmake g++ make nasm perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# "" for the codecs in C; "--no-default-features --features portable" for those in Rust.
ARG FEATURES=""
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked $FEATURES && .ci/rootfs target/release/safelight /rootfs

FROM scratch
COPY --from=build /rootfs /
# A container is reached from outside by what is published. Both win over the file of settings.
ENV SAFELIGHT__SERVER__LISTEN=0.0.0.0:8080 \
    SAFELIGHT__ADMIN__LISTEN=0.0.0.0:8081 \
    XDG_CACHE_HOME=/var/cache
USER 65532:65532
# A `config.toml` that is mounted here is read.
WORKDIR /etc/safelight
VOLUME ["/var/cache/safelight"]
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/usr/bin/safelight", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/safelight"]
CMD ["serve"]
