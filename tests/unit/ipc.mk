if HAVE_CUNIT
check_PROGRAMS += unit-ipc.t unit-words.t
TESTS += unit-ipc.t unit-words.t
unit_ipc_t_SOURCES = tests/unit/test_ipc.c
unit_ipc_t_LDADD = $(UNIT_LIBS) $(IPC_LIBS)
unit_words_t_SOURCES = tests/unit/test_words.c
unit_words_t_LDADD = $(UNIT_LIBS) $(IPC_LIBS)
endif
