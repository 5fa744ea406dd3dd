/* SQL as text: SQLite's tokens, enough of them to know a statement's verb, its end, and whether a
 * name is written in it. No grammar: SQLite's own parser and authorizer judge what a text does;
 * this answers what they do not tell (DESIGN of the guard: tenants/guard.h).
 *
 * Every object that a statement names itself is written in its text, bare or quoted, so "the text
 * does not name it" is certain; "it names it" may be a column or an alias of that name.
 * Pure functions over views, any thread, linear time. */
#ifndef TENANTS_SQL_TEXT_H
#define TENANTS_SQL_TEXT_H

#include "tenants/base/str.h"

enum sql_token_kind {
    SQL_TOKEN_END,
    SQL_TOKEN_WORD,   /* bare identifier or keyword */
    SQL_TOKEN_QUOTED, /* "a", [a], `a` */
    SQL_TOKEN_STRING, /* 'a', which SQLite takes for a name in some places */
    SQL_TOKEN_OTHER,  /* numbers, parameters, operators, one token each */
};

struct sql_token {
    enum sql_token_kind kind;
    struct str raw; /* as written, with its quotes */
};

/* Cuts the next token off `*rest`; blanks and comments are skipped. */
struct sql_token sql_next(struct str *rest);

/* Only blanks, comments and semicolons. */
bool sql_is_blank(struct str sql);
/* Without blanks and semicolons at its end (comments stay). */
struct str sql_trim_end(struct str sql);

struct sql_verb {
    struct str word; /* SELECT, INSERT, PRAGMA …, as written; after WITH: of the statement proper */
    bool is_explain;
    bool is_with;
};
/* The first statement's verb; empty when there is none. */
struct sql_verb sql_verb(struct str sql);

/* Cuts the next statement off a text of several, without its semicolon; blanks, comments and empty
 * statements before it are skipped. ptr NULL: there is none. A semicolon inside CREATE TRIGGER's
 * body ends nothing, as sqlite3_complete() has it. */
struct str sql_cut(struct str *rest);
/* BEGIN, COMMIT, END, ROLLBACK, SAVEPOINT, RELEASE. */
bool sql_is_transaction(const struct sql_verb *verb);

/* The token is the bare word `word`. Without case. */
bool sql_token_is(struct sql_token token, const char *word);
/* The token, quotes removed, is `name`. Without case. False for SQL_TOKEN_OTHER. */
bool sql_token_names(struct sql_token token, struct str name);

/* Some identifier, or string where a name may stand, is `name`. */
bool sql_names(struct str sql, struct str name);
/* Some identifier, or string where a name may stand, begins with `prefix` (no quotes in it). */
bool sql_names_prefix(struct str sql, struct str prefix);
/* The bare word occurs. */
bool sql_has_word(struct str sql, const char *word);
/* `name` may be that of a common table expression: a name followed by `(` or by AS and one of
 * `(`, NOT, MATERIALIZED, in a text that says WITH. May be true for other things, never false for
 * one. */
bool sql_may_define(struct str sql, struct str name);
/* `needle` (lower case) occurs anywhere, strings and comments included. Without case. */
bool sql_contains(struct str sql, struct str needle);

#endif
