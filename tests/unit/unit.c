/* CUnit with TAP output. */
#include "tests/unit/unit.h"

#include <CUnit/TestRun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned tap_number;
static const char *skipped; /* why this one is */

static void on_test_done(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord first)
{
    printf("%sok %u - %s %s%s%s\n", first ? "not " : "", ++tap_number, suite->pName, test->pName,
           skipped ? " # SKIP " : "", skipped ? skipped : "");
    skipped = NULL;
    for (CU_pFailureRecord f = first; f; f = f->pNext)
        printf("# %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
    fflush(stdout);
}

int unit_main(const char *suite_name, const struct unit_test *tests)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 99;
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    unsigned count = 0;
    for (; tests[count].name; count++)
        CU_add_test(suite, tests[count].name, tests[count].run);
    printf("1..%u\n", count);
    fflush(stdout);
    CU_set_test_complete_handler(on_test_done);
    CU_run_all_tests();
    int failed = CU_get_number_of_failures() > 0;
    CU_cleanup_registry();
    return failed;
}

bool unit_not_under_valgrind(const char *why)
{
    skipped = getenv("UNIT_UNDER_VALGRIND") ? why : NULL;
    return skipped != NULL;
}

void unit_str(const char *p, size_t n, const char *want, const char *file, unsigned line)
{
    char text[512];
    int same = n == strlen(want) && (n == 0 || memcmp(p, want, n) == 0);
    snprintf(text, sizeof text, "got \"%.*s\", want \"%s\"", (int)n, p ? p : "", want);
    CU_assertImplementation(same, line, text, file, "", CU_FALSE);
}
