# SPDX-License-Identifier: Apache-2.0
"""Front end of the P4_16 (v1model) compiler: preprocessed text in, typed intermediate representation out.

The way of a program through the modules:

* preprocess, lexer, grammar (with grammar_base, _expr, _stmt, _table), ast: from text to the syntax tree.
* program: the global scope and `main`. From there everything is translated, checked and instantiated in
  one go, by one class whose concerns are stacked: translator (names, types), convert, expressions,
  arguments, packets, calls, statements, entries, tables, externs, states, blocks (instances of parsers and
  controls).
* scopes and context hold what names mean and what was made; fold computes constants; aliases knows what
  shares storage.
* ir, ir_expr, ir_stmt, types: the result, which prints itself (ir_text). validate checks it as a whole,
  reachable says what of it P4Info shows.
* errors: diagnostics. frontend: all of it as one function.
"""
