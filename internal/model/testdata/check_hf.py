"""Check folders written by WriteHFDir with the real transformers.

Reads {"folders": [{"dir", "total", "run", "global", "local"}], "texts": [...]}
from stdin; prints one line per problem, then "ok".
"""
import json, sys, warnings

warnings.filterwarnings("ignore")
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

job = json.load(sys.stdin)
for f in job["folders"]:
    d = f["dir"]
    cfg = AutoConfig.from_pretrained(d)
    with torch.device("meta"):
        m = AutoModelForCausalLM.from_config(cfg, dtype=torch.bfloat16)
    n = sum(p.numel() for p in m.parameters())
    if n != f["total"]:
        print(f"{d}: transformers counts {n} parameters, want {f['total']}")
    if type(m).__name__ != cfg.architectures[0]:
        print(f"{d}: built {type(m).__name__}, config.json says {cfg.architectures[0]}")
    rope = cfg.rope_parameters if hasattr(cfg, "rope_parameters") else {"rope_theta": cfg.rope_theta}
    theta = rope.get("full_attention", rope)["rope_theta"]
    if theta != f["global"]:
        print(f"{d}: rope theta {theta}, want {f['global']}")
    if f["local"] and rope["sliding_attention"]["rope_theta"] != f["local"]:
        print(f"{d}: local rope theta {rope}, want {f['local']}")
    if getattr(cfg, "layer_types", None) and "full" in f and cfg.layer_types.count("full_attention") != f["full"]:
        print(f"{d}: layers {cfg.layer_types}, want {f['full']} with full attention")
    if GenerationConfig.from_pretrained(d).eos_token_id is not None:
        print(f"{d}: generation config has an end-of-sequence token")
    tok = AutoTokenizer.from_pretrained(d)
    for t in job["texts"]:
        ids = tok(t)["input_ids"]
        if ids != list(t.encode()):
            print(f"{d}: {t!r} became {ids}")
        if tok.decode(ids, skip_special_tokens=True) != t:
            print(f"{d}: {t!r} came back as {tok.decode(ids)!r}")
    if len(tok) != cfg.vocab_size or tok.eos_token_id != 257 or tok.pad_token_id != 258:
        print(f"{d}: tokenizer has {len(tok)} tokens, eos {tok.eos_token_id}, pad {tok.pad_token_id}")
    if f["run"]:
        m = AutoModelForCausalLM.from_config(cfg, dtype=torch.float32).eval()
        ids = torch.tensor([list(b"hello world")])
        out = m.generate(ids, max_new_tokens=4, min_new_tokens=4, do_sample=False, pad_token_id=258)
        if out.shape != (1, 15):
            print(f"{d}: generated {tuple(out.shape)}")
print("ok")
