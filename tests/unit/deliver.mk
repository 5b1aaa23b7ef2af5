if HAVE_CUNIT
check_PROGRAMS += unit-deliver.t
TESTS += unit-deliver.t
unit_deliver_t_SOURCES = tests/unit/test_deliver.c
unit_deliver_t_LDADD = $(UNIT_LIBS) libdeliver.a libstore.a $(MAIL_LIBS) $(IPC_LIBS)
endif
