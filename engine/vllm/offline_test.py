"""Tests of what the offline worker makes of texts, with a tokenizer in place of vLLM."""

import pathlib
import sys
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "internal" / "pyworker"))

from assembled import assembled  # noqa: E402

assembled(HERE / "worker")

from llem_protocol.failures import Failure  # noqa: E402

from llem_vllm import engine, serve  # noqa: E402


class TemplateTest(unittest.TestCase):
    def worker(self, apply):
        worker = serve.Worker(mock.Mock(cancelled_run=0), mock.Mock())
        worker.engine = engine.Engine.__new__(engine.Engine)
        worker.engine.llm = mock.Mock()
        worker.engine.llm.get_tokenizer.return_value.apply_chat_template.side_effect = apply
        return worker, worker.outbox.send

    def test_conversations(self):
        turns = [[{"role": "user", "content": "a"}], [{"role": "user", "content": "bc"}]]
        asked = []

        def apply(conversation, **options):
            asked.append(options)
            return (len(conversation[0]["content"]), 7)

        worker, send = self.worker(apply)
        worker.answer({"id": 3, "op": "template", "chats": turns})
        send.assert_called_with(3, "tokens", tokens=[[1, 7], [2, 7]])
        self.assertEqual(asked, 2 * [{"add_generation_prompt": True, "tokenize": True, "return_dict": False}])

    def test_refusal(self):
        worker, send = self.worker(ValueError("no template"))
        worker.answer({"id": 3, "op": "template", "chats": [[]]})
        failure = send.call_args.kwargs["failure"]
        self.assertEqual(failure["class"], "config")
        self.assertIn("no template", failure["message"])
        with self.assertRaises(Failure):
            worker.engine.template([[]])


if __name__ == "__main__":
    unittest.main()
