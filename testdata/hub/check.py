"""Reads with the libraries of others what llem pushed, and uploads it again: check.py STUDY FOLDER."""
import glob
import hashlib
import json
import pathlib
import sys

from datasets import get_dataset_config_names, load_dataset
from huggingface_hub import DatasetCard, HfApi, snapshot_download

study, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
api = HfApi()
info = api.dataset_info("alice/batches")
assert info.private, "it is not private"

# Every file arrives as the manifests of the copy say.
snapshot_download("alice/batches", repo_type="dataset", local_dir=folder)
checked = 0
for manifest in [folder / "manifest.sha256", *folder.glob("runs/*/manifest.sha256")]:
    for line in manifest.read_text().splitlines():
        want, name = line.split("  ")
        got = hashlib.sha256((manifest.parent / name).read_bytes()).hexdigest()
        assert got == want, (manifest, name)
        checked += 1
assert checked > 30, checked
original = json.loads((folder / "scrubbed.json").read_text())["original_sha256"]
for name, want in original.items():
    assert hashlib.sha256((study / name).read_bytes()).hexdigest() == want, name

# The card is valid, and its tables are what the files hold.
card = DatasetCard.load("alice/batches")
card.validate(repo_type="dataset")
assert card.data.license == "cc-by-4.0", card.data
names = get_dataset_config_names("alice/batches")
assert set(names) >= {"runs", "power", "requests", "steps", "counters"}, names
runs = load_dataset("alice/batches", split="train")
assert runs.num_rows == 4 and set(runs["config.batch_size"]) == {1, 4}, runs
for row in runs:
    record = json.loads((study / row["run"] / "result.json").read_text())
    assert row["energy.per_output_token_j"] == (record["energy"]["per_output_token_j"] or {}).get("value"), row["run"]
for name in names:
    if name != "runs":
        rows = load_dataset("alice/batches", name, split="train").num_rows
        assert rows > 0, name
        print(name, rows)

# The same folder, uploaded by the other client.
api.create_repo("alice/uploaded", repo_type="dataset", private=True)
api.upload_folder(repo_id="alice/uploaded", repo_type="dataset", folder_path=folder, ignore_patterns=[".cache/*"])
assert len(glob.glob(str(folder / "runs/*/power.parquet"))) == 4
print("huggingface_hub and datasets read", checked, "files")
