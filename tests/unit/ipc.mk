if HAVE_CUNIT
check_PROGRAMS += unit-ipc.t unit-asks.t unit-words.t
TESTS += unit-ipc.t unit-asks.t unit-words.t
unit_ipc_t_SOURCES = tests/unit/test_ipc.c tests/unit/ipc_fixture.c tests/unit/ipc_fixture.h
unit_ipc_t_LDADD = $(UNIT_LIBS) $(IPC_LIBS)
unit_asks_t_SOURCES = tests/unit/test_asks.c tests/unit/ipc_fixture.c tests/unit/ipc_fixture.h
unit_asks_t_LDADD = $(UNIT_LIBS) $(IPC_LIBS)
unit_words_t_SOURCES = tests/unit/test_words.c
unit_words_t_LDADD = $(UNIT_LIBS) $(IPC_LIBS)
endif
