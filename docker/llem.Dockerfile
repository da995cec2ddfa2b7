# llem itself, from the deb of `make dist`: the same program as in the other packages.
#
#   make dist image
#   docker run --rm llem doctor
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/work" llem run STUDY.yaml
#
# Engines that are Python packages or servers are not in it: name it as the base of an image with one, or run llem on the
# host with the engine in a container (-s runner=container). It runs as user 65532; RAPL can be read by root alone.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim

FROM ${BASE_IMAGE} AS package
ARG TARGETARCH=amd64
COPY dist/llem_*_${TARGETARCH}.deb /
RUN dpkg-deb -x /llem_*_${TARGETARCH}.deb /package

FROM ${BASE_IMAGE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="llem" \
      org.opencontainers.image.description="Measure the energy of LLM inference" \
      org.opencontainers.image.source="https://github.com/llenergymeasure/llem" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=package /package/usr/bin/llem /usr/bin/llem
COPY --from=package /package/usr/share/doc/llem/copyright /package/usr/share/doc/llem/NOTICES /usr/share/doc/llem/
# Written by any user that --user names.
RUN install -d -m 1777 /work /home/llem
ENV HOME=/home/llem NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
USER 65532:65532
ENTRYPOINT ["llem"]
CMD ["--help"]
