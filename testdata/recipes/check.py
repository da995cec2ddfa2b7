"""Executes the blocks of docs/recipes.md in their order, in the folder that has results/batches.

    python check.py docs/recipes.md
"""
import pathlib
import re
import shutil
import subprocess
import sys

import duckdb

blocks = re.findall(r"^```(sql|python|r)\n(.*?)^```", pathlib.Path(sys.argv[1]).read_text(), re.M | re.S)
kinds = [kind for kind, _ in blocks]
assert {"sql", "python", "r"} <= set(kinds), kinds
names = {}
for kind, text in blocks:
    if kind == "sql":
        rows = duckdb.sql(text).fetchall()
        assert rows and all(any(v is not None for v in row) for row in rows), text
        assert all(v is not None for v in rows[0]), (text, rows[0])
    elif kind == "python":
        exec(compile(text, "recipes.md", "exec"), names)
    elif shutil.which("Rscript"):
        subprocess.run(["Rscript", "-e", text], check=True)
    else:
        print("R is not installed: its block was not executed")
print("recipes:", ", ".join(f"{kinds.count(k)} {k}" for k in ("sql", "python", "r")))
