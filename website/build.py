#!/usr/bin/env python3
"""Builds the documents as a static site: `make docs`, or build.py [-o FOLDER].

The site has the same folders as the repository, so that links work in both: the documents that README.md links to, and
the files that these link to. docs/README.md is the list of documents; the navigation follows its headings and tables.
The site opens from a folder, with its search, and loads nothing from elsewhere. A document that is not in the list, and
a link or an anchor that does not exist, is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
LIST = "docs/README.md"
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=ROOT / "dist" / "docs", metavar="FOLDER")
    out = parser.parse_args().out.resolve()
    if out.exists() and any(out.iterdir()) and not (out / "search" / "search_index.js").exists():
        sys.exit(f"{out} holds something else than the site: name another folder with -o")
    python = tools()
    with tempfile.TemporaryDirectory() as work:
        stage = pathlib.Path(work, "stage")
        copy(stage)
        shutil.copytree(HERE / "assets", stage / "assets")
        config = pathlib.Path(work, "mkdocs.yml")
        config.write_text(json.dumps({"INHERIT": str(HERE / "mkdocs.yml"), "docs_dir": str(stage),
                                      "site_dir": str(out), "nav": navigation()}))
        built = subprocess.run(
            [python, "-m", "mkdocs", "build", "--quiet", "--strict", "--clean", "--config-file", config],
            check=False, env=dict(os.environ, NO_MKDOCS_2_WARNING="1"))
    if built.returncode:
        sys.exit("the site was not built: see above")
    print(out / "index.html")


def tools() -> pathlib.Path:
    """Return an interpreter that has the generator."""
    venv = pathlib.Path(os.environ.get("LLEM_DOCS_VENV") or pathlib.Path.home() / ".cache" / "llem-docs-venv")
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    wanted = HERE / "requirements.txt"
    have = subprocess.run([python, "-m", "pip", "freeze", "--disable-pip-version-check"], check=True,
                          capture_output=True, text=True).stdout.splitlines()
    if not {line for line in wanted.read_text().splitlines() if "==" in line} <= set(have):
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted],
                       check=True)
    return python


def links(file: str) -> list[str]:
    """Return the files of the repository that a document links to."""
    folder = pathlib.PurePosixPath(file).parent
    text = FENCED.sub("", (ROOT / file).read_text())
    return [os.path.normpath(folder / link.partition("#")[0]) for link in LINK.findall(text)
            if not re.match(r"[a-z]+:|#", link)]


def copy(stage: pathlib.Path) -> None:
    """Copy the documents and what they link to; of a page that is a file of its own, its folder as well."""
    todo, done = ["README.md"], set()
    while todo:
        file = todo.pop()
        if file in done or not (ROOT / file).is_file():
            continue  # a link that does not exist is reported with its place by the generator
        done.add(file)
        (stage / file).parent.mkdir(parents=True, exist_ok=True)
        if file.endswith(".md"):
            (stage / file).write_text(translated((ROOT / file).read_text()))
            todo += links(file)
            continue
        shutil.copyfile(ROOT / file, stage / file)
        if file.endswith("/index.html"):
            todo += [str(f.relative_to(ROOT)) for f in (ROOT / file).parent.rglob("*")]
    for file in (ROOT / "docs").rglob("*.md"):
        if str(file.relative_to(ROOT)) not in done:
            sys.exit(f"{file.relative_to(ROOT)} is not in {LIST}: add a row with a link to it to one of its tables")


def translated(text: str) -> str:
    """Return a document as the generator must read it to show the same as a code host.

    It knows a list only after an empty line, and a list within an item only by four blanks; it keeps the backslash of a
    bar in the code of a table.
    """
    out: list[str] = []
    fenced = listed = False
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            if re.match(r"(-|\d+\.) ", line):
                if out and out[-1] and not listed:
                    out.append("")
                listed = True
            elif not line:
                listed = False
            if listed:
                line = re.sub(r"^ {2,3}- ", "    - ", line)
            if line.startswith("|"):
                line = re.sub(r"`[^`]*`", lambda code: code[0].replace("\\|", "|"), line)
        out.append(line)
    return "\n".join(out)


def navigation() -> list:
    """Return the navigation: a section for each heading of the list of documents, a page for each row."""
    pages: list = ["README.md", LIST]
    section = pages
    for line in (ROOT / LIST).read_text().splitlines():
        if line.startswith("## "):
            section = []
            pages.append({line[3:]: section})
        elif found := re.match(r"\| \[[^]]*\]\(([^)#]+)\)", line):
            section.append(os.path.normpath("docs/" + found[1]))
    return pages


if __name__ == "__main__":
    main()
