#!/usr/bin/env python3
"""Tests of bounds.py: every kind of difference is found, and none where there is none."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import bounds


class Table(unittest.TestCase):
    def problems(self, code, rows):
        """What is found in a file `limits.rs` of `dissect`, and a page with these rows."""
        with tempfile.TemporaryDirectory() as root:
            for crate in bounds.CRATES:
                os.makedirs(os.path.join(root, "crates", crate, "src"))
            with open(os.path.join(root, "crates/dissect/src/limits.rs"), "w", encoding="utf-8") as file:
                file.write(code)
            with open(os.path.join(root, "ARCHITECTURE.md"), "w", encoding="utf-8") as file:
                head = "\n## Bounds\n\n### Files (`dissect`)\n\n| bound | value | reason | when hit |\n|---|---|---|---|\n"
                file.write(head + "".join(f"| {row} | r | h |\n" for row in rows) + "\n## Decisions\n")
            return [problem for problem in bounds.check(root) if not problem.startswith(".ci/")]

    def test_equal_tables_have_no_problem(self):
        code = (
            "pub const MAX_A: usize = 4 << 10;\n    pub(crate) const MAX_B: u64 = 2 * MAX_A + 0xff;\n"
            "const WAIT: Duration = Duration::from_secs(5);\nconst MAX_AGE_NS: u64 = 60_000_000_000;\n"
            "const MAX_C: u64 = 1u64 << 20;\n#[cfg(test)]\nmod tests {\n    const MAX_T: u8 = 1;\n}\n"
        )
        rows = ["`limits::MAX_A`, `MAX_B` | 4 KiB, 8,447", "`limits::WAIT`, `MAX_AGE_NS` | 5 s, 60 s", "`MAX_C` | 1 MiB"]
        self.assertEqual(self.problems(code, rows), [])

    def test_missing_row_and_missing_constant(self):
        self.assertIn("no row names `limits::MAX_A`", self.problems("const MAX_A: usize = 1;\n", [])[0])
        self.assertIn("no constant `limits::MAX_B`", self.problems("", ["`limits::MAX_B` | 1"])[0])
        other = self.problems("const MAX_A: usize = 1;\n", ["`other::MAX_A` | 1"])
        self.assertEqual(len(other), 2, other)

    def test_another_value(self):
        for code, value in [("1 << 10", "2 KiB"), ("1000", "1,001"), ("10", "10 KiB, 11")]:
            problems = self.problems(f"const MAX_A: usize = {code};\n", [f"`limits::MAX_A` | {value}"])
            self.assertEqual(len(problems), 2, problems)


if __name__ == "__main__":
    unittest.main()
