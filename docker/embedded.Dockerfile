# The embedded engine: the llem binary and what it links.
#
#   docker build -t llem-embedded -f docker/embedded.Dockerfile .
#   llem run --backend embedded -s runner=container
#
# MARCH must suit the CPU that runs it: native is that of the machine which builds.
FROM golang:1.26-bookworm AS build
ARG MARCH=native
ENV CGO_CFLAGS="-O3 -march=${MARCH}" CGO_CXXFLAGS="-O3 -march=${MARCH}"
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -buildvcs=false -o /llem ./cmd/llem

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libstdc++6 libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /llem /usr/local/bin/llem
