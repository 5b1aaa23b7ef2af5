if HAVE_CUNIT
check_PROGRAMS += unit-ipc.t
TESTS += unit-ipc.t
unit_ipc_t_SOURCES = tests/unit/test_ipc.c
unit_ipc_t_LDADD = $(UNIT_LIBS) $(IPC_LIBS)
endif
