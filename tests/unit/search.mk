if HAVE_CUNIT
check_PROGRAMS += unit-search-thread.t
TESTS += unit-search-thread.t
unit_search_thread_t_SOURCES = tests/unit/test_search_thread.c
unit_search_thread_t_LDADD = $(UNIT_LIBS) $(SESSION_LIBS)
endif
