# CTranslate2 for the ctranslate2 backend. The worker's scripts are in the llem binary
# outside, and mounted. Random models only: folders of Hugging Face are converted outside, by
# a process, since the converter needs torch and transformers.
#
#   docker build -t llem-ctranslate2 -f docker/ctranslate2.Dockerfile .
#   llem run --backend ctranslate2 -s runner=container -m random:smollm2-135m
#
# A GPU needs cuBLAS of CUDA 12, which pip brings too.
FROM python:3.12-slim-bookworm
ARG CTRANSLATE2=4.8.5
RUN pip install --no-cache-dir "ctranslate2==$CTRANSLATE2" tokenizers nvidia-cublas-cu12
ENV LD_LIBRARY_PATH=/usr/local/lib/python3.12/site-packages/nvidia/cublas/lib
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
