"""Text to token ids, and the ids of ordinary text."""

from __future__ import annotations

import os

from .failures import Failure, shorten

# Special tokens below this id are taken for a block at the front of the
# vocabulary (padding, begin and end), which does not end the ordinary text.
LEADING_SPECIALS = 256


def in_template(tokenizer, turns: list[dict], tokenize: bool):
    """A conversation in the chat template of a tokenizer's model, as text or as token ids."""
    try:
        out = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=tokenize, return_dict=False)
    except Exception as exc:  # noqa: BLE001: a template is a program with its own error messages
        raise Failure("config", shorten(f"cannot put a prompt into the chat template of the model: {exc}"),
                      "use workload.chat_template: none, or a data set whose turns the template takes") from exc
    return out


class Tokenizer:
    """A model's tokenizer; adds no special tokens."""

    def __init__(self, encode_batch, size: int, special_ids: set[int], folder: str = "", whole=None) -> None:
        self.encode_batch = encode_batch
        self.size = size
        self.special_ids = special_ids
        # The files, transformers' part of encode_batch, and the lazily loaded reader of chat templates.
        self.folder = folder
        self.whole = whole
        self.reader = whole

    @classmethod
    def from_folder(cls, path: str) -> Tokenizer | None:
        """The tokenizer of a model's folder, or None if it has none."""
        file = os.path.join(path, "tokenizer.json")
        if os.path.isfile(file):
            return cls.from_file(file)
        if any(os.path.isfile(os.path.join(path, name)) for name in ("tokenizer.model", "vocab.json", "vocab.txt")):
            return cls.from_pretrained(path)
        return None

    @classmethod
    def from_file(cls, file: str) -> Tokenizer:
        """A tokenizer.json, used unchanged."""
        import tokenizers

        try:
            tokenizer = tokenizers.Tokenizer.from_file(file)
        except Exception as exc:  # noqa: BLE001: the library raises nothing narrower
            raise Failure("corrupt_model", f"cannot read {file}: {exc}", "download the model again") from exc
        tokenizer.no_padding()
        tokenizer.no_truncation()
        added = tokenizer.get_added_tokens_decoder()

        def encode(texts):
            encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
            return [encoding.ids for encoding in encoded]

        special = {token_id for token_id, token in added.items() if token.special}
        return cls(encode, tokenizer.get_vocab_size(), special, os.path.dirname(file))

    @classmethod
    def from_pretrained(cls, path: str) -> Tokenizer:
        """Any other tokenizer that transformers can read."""
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)

        def encode(texts):
            return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

        return cls(encode, len(tokenizer), set(tokenizer.all_special_ids), path, tokenizer)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """The token ids of every text."""
        return [list(ids) for ids in self.encode_batch(texts)]

    def template(self, conversations: list[list[dict]]) -> list[list[int]]:
        """The token ids of every conversation, up to where the answer begins."""
        if self.reader is None:
            import transformers

            self.reader = transformers.AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        # The text is tokenized as prompts without a template are: the template has written its special tokens.
        return self.encode([in_template(self.reader, turns, tokenize=False) for turns in conversations])

    def forget_template(self) -> None:
        """Free what only templates need: it would count as memory of a run."""
        self.reader = self.whole

    def text_vocab(self, vocab: int) -> int:
        """A bound below which ids are ordinary text."""
        bound = min(vocab, self.size)
        specials = [token_id for token_id in self.special_ids if LEADING_SPECIALS <= token_id < bound]
        return min(specials, default=bound)
