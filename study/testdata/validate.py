"""Checks study files against a JSON Schema: validate.py SCHEMA good FILE... bad FILE..."""
import json
import sys

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

schema = json.load(open(sys.argv[1], encoding="utf-8"))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
want, failed, counts = None, False, {"good": 0, "bad": 0}
for arg in sys.argv[2:]:
    if arg in counts:
        want = arg
        continue
    counts[want] += 1
    with open(arg, encoding="utf-8-sig") as f:
        document = YAML(typ="safe", pure=True).load(f)
    errors = list(validator.iter_errors(document))
    if (want == "good") == bool(errors):
        failed = True
        print(arg, "is", want, "but has", len(errors), "errors")
        for e in errors[:3]:
            print("  ", list(e.absolute_path), e.message[:200])
print("checked", counts)
sys.exit(failed)
