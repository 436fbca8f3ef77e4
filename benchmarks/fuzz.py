"""Runs the cases of tests/fuzz in numbers, and counts how their commands end.

python benchmarks/fuzz.py --cases 20000 --seed 1 --out runs/fuzz/summary
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from record import write_record

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / name) for name in ("fuzz", "cli")]


def main() -> None:
    from material import make_material
    from promises import run_cases
    from shares import KINDS, cases_of

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="of all cases; that of the tests is 0")
    parser.add_argument("--out", type=Path, required=True, help="file to write, without a suffix")
    given = parser.parse_args()
    rows, broken = [], []
    with tempfile.TemporaryDirectory() as folder:
        material = Path(folder) / "material"
        make_material(material)
        for kind, prepare in KINDS.items():
            numbers, began = cases_of(kind, given.cases), time.monotonic()
            place = Path(folder) / kind.replace(" ", "-")
            found = run_cases(kind, prepare, material, numbers, given.seed, place)
            statuses = Counter(one.status for one in found)
            failed = [one for one in found if one.problem]
            rows.append(
                {
                    "kind": kind,
                    "cases": len(found),
                    **{f"status {status}": statuses[status] for status in (0, 2, 130)},
                    "broken promises": len(failed),
                    "slowest, s": max(one.seconds for one in found),
                    "all, s": round(sum(one.seconds for one in found)),
                }
            )
            for one in failed:
                broken.append({**vars(one), "problem": one.problem.replace(f"{ROOT}/", "")})
            print(f"{rows[-1]}, {time.monotonic() - began:.0f} s of wall time", flush=True)
    numbers = {name: [row[name] for row in rows] for name in rows[0]}
    total = {name: sum(values) for name, values in numbers.items() if name != "kind"}
    total |= {"slowest, s": max(numbers["slowest, s"])}
    rows.append({"kind": "all", **total})
    title = f"Input that nobody means to give: {total['cases']:,} cases, seed {given.seed}"
    write_record(given.out, title, rows, seed=given.seed, broken=broken)


if __name__ == "__main__":
    main()
