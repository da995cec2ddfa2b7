"""As much of tokenizers as the worker uses: the byte-level tokenizer of random models."""

import json
from types import SimpleNamespace


class Tokenizer:
    @classmethod
    def from_file(cls, file):
        self = cls()
        with open(file, encoding="utf-8") as stream:
            self.content = json.load(stream)
        return self

    def no_padding(self):
        pass

    def no_truncation(self):
        pass

    def get_added_tokens_decoder(self):
        return {token["id"]: SimpleNamespace(special=token["special"]) for token in self.content["added_tokens"]}

    def get_vocab_size(self):
        return len(self.content["model"]["vocab"]) + len(self.content["added_tokens"])

    def encode_batch(self, texts, add_special_tokens):
        assert not add_special_tokens
        vocab = self.content["model"]["vocab"]
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in printable]
        letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + at) for at, byte in enumerate(others)}
        return [SimpleNamespace(ids=[vocab[letters[byte]] for byte in text.encode()]) for text in texts]
