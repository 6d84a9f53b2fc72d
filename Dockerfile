# The image of eip-operator: one binary on distroless, run as user 65532.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --push -t REGISTRY/eip-operator:0.1.0 .
#
# Each platform is compiled natively, on a builder of its own kind (`docker buildx create --append` adds
# one); nothing here cross-compiles. A cold build on two cores takes 10 to 25 minutes and 8 GB.
# For a build that others can repeat, give both bases by digest and the commit's time:
#
#   --build-arg RUST=rust:1.95-bookworm@sha256:… --build-arg BASE=gcr.io/distroless/cc-debian12:nonroot@sha256:…
#   --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" --build-arg REVISION="$(git rev-parse HEAD)"
#
# An older buildah (1.28) sets no TARGETARCH: pass `--build-arg TARGETARCH=amd64` there.

ARG RUST=rust:1.95-bookworm
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST} AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH
# The paths of this stage would otherwise end up in panic messages and differ between builders.
ENV CARGO_HOME=/usr/local/cargo \
    CARGO_INCREMENTAL=0 \
    CARGO_TERM_COLOR=never \
    CFLAGS="-ffile-prefix-map=/usr/local/cargo/registry/src=/crates" \
    RUSTFLAGS="--remap-path-prefix=/usr/local/cargo/registry/src=/crates --remap-path-prefix=/src=/eip-operator"
# One target folder per architecture, because platforms share the cache; locked, because two builds of
# the EC2 SDK at once need 16 GB.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build,sharing=locked \
    export CARGO_TARGET_DIR="/build/${TARGETARCH}" \
    && cargo build --locked --release --bin eip-operator \
    && cp "${CARGO_TARGET_DIR}/release/eip-operator" /eip-operator

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="eip-operator" \
      org.opencontainers.image.description="Gives Kubernetes pods AWS Elastic IPs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /eip-operator /usr/local/bin/eip-operator
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/eip-operator"]
