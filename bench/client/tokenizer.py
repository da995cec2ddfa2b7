"""Writes a tokenizer whose tokens are bytes, for clients that insist on one: tokenizer.py FOLDER."""
import sys

from tokenizers import Tokenizer, decoders, models
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

END = "<|end|>"
vocab = {c: i for i, c in enumerate([*sorted(ByteLevel.alphabet()), END])}
t = Tokenizer(models.BPE(vocab=vocab, merges=[]))
t.pre_tokenizer = ByteLevel(add_prefix_space=False)
t.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=t, eos_token=END, pad_token=END, bos_token=END).save_pretrained(sys.argv[1])
