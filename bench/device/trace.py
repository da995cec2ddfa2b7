"""Writes a trace of bursty requests with repeated prefixes, for load-trace.yaml: the same bytes each time.

    python3 bench/device/trace.py > bench/device/trace.jsonl

60 s at 12 requests/s on average: gamma gaps with a coefficient of variation of 2, lognormal lengths (median 400 tokens
in and 90 out), and one of eight system prompts of 256 tokens at the beginning of each.
"""
import json
import math
import random

draw = random.Random(7)
print(json.dumps({"llem_trace": 1, "block_tokens": 64}))
at, block = 0.0, 100
while True:
    at += draw.gammavariate(0.25, 1 / (12 * 0.25))
    if at >= 60:
        break
    length = min(2048, max(260, round(draw.lognormvariate(math.log(400), 0.6))))
    output = min(512, max(8, round(draw.lognormvariate(math.log(90), 0.7))))
    system = draw.randrange(8)
    blocks = list(range(4 * system, 4 * system + 4))
    while len(blocks) < math.ceil(length / 64):
        blocks.append(block)
        block += 1
    print(json.dumps({"at_s": round(at, 6), "input": length, "output": output, "blocks": blocks}))
