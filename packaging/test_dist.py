"""Tests of packaging/dist.py and of the versions: python3 -m unittest discover packaging."""

import json
import pathlib
import sys
import tarfile
import tempfile
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

import build_wheel  # noqa: E402
import dist  # noqa: E402
import version  # noqa: E402


class Versions(unittest.TestCase):
    def test_one_version_in_each_form(self) -> None:
        for stamp, python, package in [
            ("v1.2.3", "1.2.3", "1.2.3"),
            ("v1.2.3+dirty", "1.2.3+dirty", "1.2.3+dirty"),
            ("v1.2.3-rc1", "1.2.3rc1", "1.2.3~rc1"),
            ("v1.2.3-rc.2", "1.2.3rc2", "1.2.3~rc2"),
            ("v0.0.0-20261129090000-0123456789ab", "0.0.0.dev20261129090000+g0123456789ab",
             "0.0.0~dev20261129090000+g0123456789ab"),
            ("v1.2.4-0.20261129090000-0123456789ab+dirty", "1.2.4.dev20261129090000+g0123456789ab.dirty",
             "1.2.4~dev20261129090000+g0123456789ab.dirty"),
            ("v1.3.0-rc.1.0.20261129090000-0123456789ab", "1.3.0.dev20261129090000+g0123456789ab",
             "1.3.0~dev20261129090000+g0123456789ab"),
            ("v0.0.0-devel", "0.0.0.dev0", "0.0.0~dev0"),
        ]:
            with self.subTest(stamp):
                self.assertEqual(version.normal(stamp), python)
                self.assertEqual(version.debian(stamp), package)


class Components(unittest.TestCase):
    def test_versions_of_what_go_does_not_know(self) -> None:
        (zig,) = (t.partition("==")[2] for t in build_wheel.TOOLS if t.startswith("ziglang=="))
        modules = (HERE.parent / "go.mod").read_text()
        for component in json.loads((HERE / "components.json").read_text()):
            with self.subTest(component["name"]):
                self.assertTrue(component["purl"].endswith("@" + component["version"]))
                if component["name"] == "libc++":
                    self.assertIn(f"by zig {zig}", component["description"])
                else:
                    ollama = component["version"].removeprefix("ollama-")
                    self.assertIn(f"github.com/ollama/ollama v{ollama}\n", modules)


class Archives(unittest.TestCase):
    def test_nothing_of_the_builder_is_in_an_archive(self) -> None:
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict("os.environ", SOURCE_DATE_EPOCH="1000000000"):
            files = {}
            for place in ("share/z", "bin/llem"):
                files[place] = pathlib.Path(folder, place.replace("/", "-"))
                files[place].write_text(place)
                files[place].chmod(0o600)
            archive = pathlib.Path(folder, "x.tar.gz")
            archive.write_bytes(dist.compressed(dist.tar("llem-1", files)))
            with tarfile.open(archive) as opened:
                got = [(e.name, oct(e.mode), e.mtime, e.uid, e.gid, e.uname) for e in opened]
        self.assertEqual(got, [("llem-1/bin/llem", "0o755", 1000000000, 0, 0, "root"),
                               ("llem-1/share/z", "0o644", 1000000000, 0, 0, "root")])


if __name__ == "__main__":
    unittest.main()
