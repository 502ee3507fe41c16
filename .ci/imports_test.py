#!/usr/bin/env python3
"""Tests of imports.py: what counts as an import, and that a circle is found."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import imports


class Crate(unittest.TestCase):
    def edges(self, files):
        """`{file: text}` of a crate, to its edges."""
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            edges, _ = imports.edges_of(os.path.join(root, "lib.rs"))
            return {(os.path.relpath(a, root), os.path.relpath(b, root)) for a in edges for b in edges[a]}

    def test_use_and_path_in_code_are_imports(self):
        files = {
            "lib.rs": "mod a; mod b; mod c;",
            "a.rs": "use crate::{b::B, c};",
            "b.rs": "fn f() { crate::c::g(super::a::h()) }",
            "c.rs": "",
        }
        self.assertEqual(self.edges(files), {("a.rs", "b.rs"), ("a.rs", "c.rs"), ("b.rs", "c.rs"), ("b.rs", "a.rs")})

    def test_declaration_is_no_import_and_re_export_is_one(self):
        self.assertEqual(self.edges({"lib.rs": "mod a;", "a.rs": ""}), set())
        self.assertEqual(self.edges({"lib.rs": "mod a; pub use a::A;", "a.rs": ""}), {("lib.rs", "a.rs")})

    def test_child_may_use_the_modules_around_it(self):
        files = {"lib.rs": "mod a;", "a/mod.rs": "mod b; use b::B;", "a/b.rs": "use super::A; use crate::X;"}
        self.assertEqual(self.edges(files), {("a/mod.rs", "a/b.rs")})

    def test_tests_comments_and_strings_are_no_imports(self):
        text = '''
            // crate::b
            /* crate::b /* nested */ crate::b */
            const S: &str = "see crate::b::B"; const R: &str = r#"crate::b"#; const C: char = '"';
            #[cfg(test)] mod tests { use crate::b::B; }
        '''
        self.assertEqual(self.edges({"lib.rs": "mod a; mod b;", "a.rs": text, "b.rs": ""}), set())

    def test_string_that_is_a_path_is_an_import(self):
        files = {"lib.rs": "mod a; mod b;", "a.rs": '#[serde(with = "crate::b")] struct A;', "b.rs": ""}
        self.assertEqual(self.edges(files), {("a.rs", "b.rs")})

    def test_circle_is_found_and_shown_at_its_shortest(self):
        edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "b"}, "d": {"a"}}
        (circle,) = imports.circles(edges)
        self.assertEqual(circle, {"a", "b", "c"})
        self.assertEqual(imports.shortest_circle(edges, circle), ["b", "c", "b"])
        self.assertEqual(imports.circles({"a": {"b", "c"}, "b": {"c"}}), [])


if __name__ == "__main__":
    unittest.main()
