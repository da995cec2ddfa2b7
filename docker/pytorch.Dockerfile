# PyTorch and transformers for the pytorch backend. The worker's scripts are in the llem
# binary outside, and mounted.
#
#   docker build -t llem-pytorch -f docker/pytorch.Dockerfile .
#   llem run --backend pytorch -s runner=container
#
# INDEX chooses the build of torch: https://download.pytorch.org/whl/cu128 or …/cpu.
FROM python:3.12-slim-bookworm
ARG TORCH=2.11.0
ARG TRANSFORMERS=5.17.0
ARG INDEX=https://pypi.org/simple
# torch.compile needs a C compiler.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir --index-url "$INDEX" --extra-index-url https://pypi.org/simple "torch==$TORCH" && \
    pip install --no-cache-dir "transformers==$TRANSFORMERS" numpy safetensors accelerate
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
