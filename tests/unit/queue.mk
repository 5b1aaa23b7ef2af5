if HAVE_CUNIT
check_PROGRAMS += unit-queue.t
TESTS += unit-queue.t
unit_queue_t_SOURCES = tests/unit/test_queue.c
unit_queue_t_LDADD = $(UNIT_LIBS) libqueue.a libsmtp.a libdeliver.a libstore.a $(MAIL_LIBS) $(IPC_LIBS) $(SQLITE_LIBS)
endif
