# llem itself, from the archive of `make dist`: the same program as in the other packages.
#
#   make dist image
#   docker run --rm llem doctor
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/work" llem run STUDY.yaml
#
# Engines that are Python packages or servers are not in it: make it the base of an image that has them, or run llem on
# the host with the engine in a container (-s runner=container). No user is root in it, so that RAPL is not read.
# Nothing runs while it is built, so that images for other processors need no emulation.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim

FROM scratch AS archive
ARG TARGETARCH=amd64
ADD dist/llem-*-linux-${TARGETARCH}.tar.gz /

FROM ${BASE_IMAGE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="llem" \
      org.opencontainers.image.description="Measure the energy of LLM inference" \
      org.opencontainers.image.source="https://github.com/llenergymeasure/llem" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=archive /llem-*/bin/llem /usr/bin/
COPY --from=archive /llem-*/LICENSE /llem-*/NOTICES /usr/share/doc/llem/
# Any user that --user names can write there; results go to the folder that is mounted at /work.
ENV HOME=/tmp NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
USER 65532:65532
ENTRYPOINT ["llem"]
CMD ["--help"]
