if HAVE_CUNIT
check_PROGRAMS += unit-search-thread.t unit-store-text.t
TESTS += unit-search-thread.t unit-store-text.t
unit_search_thread_t_SOURCES = tests/unit/test_search_thread.c
unit_search_thread_t_LDADD = $(UNIT_LIBS) $(SESSION_LIBS)
unit_store_text_t_SOURCES = tests/unit/test_store_text.c
unit_store_text_t_LDADD = $(UNIT_LIBS) $(STORE_LIBS)
endif
