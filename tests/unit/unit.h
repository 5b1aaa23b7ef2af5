/* Runs CUnit suites and prints one TAP line a test. */
#ifndef FACTEUR_TESTS_UNIT_H
#define FACTEUR_TESTS_UNIT_H

#include <CUnit/CUnit.h>
#include <stdbool.h>

struct unit_test {
    const char *name;
    void (*run)(void);
};

/* tests ends with {NULL, NULL}; returns the exit status for main. */
int unit_main(const char *suite, const struct unit_test *tests);

/* True under `make check-valgrind`: this test cannot hold there, for the reason why (a literal), and is told as
 * one that was skipped. */
bool unit_not_under_valgrind(const char *why);

/* Asserts that a struct str equals a string literal, and shows both when not. */
#define UNIT_STR(got, want)                                                                        \
    unit_str((got).p, (got).n, (want), __FILE__, __LINE__)
void unit_str(const char *p, size_t n, const char *want, const char *file, unsigned line);

#endif
