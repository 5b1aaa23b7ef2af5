if HAVE_CUNIT
check_PROGRAMS += unit-queue.t unit-answer.t
TESTS += unit-queue.t unit-answer.t
unit_queue_t_SOURCES = tests/unit/test_queue.c
unit_queue_t_LDADD = $(UNIT_LIBS) libqueue.a libsmtp.a libdeliver.a libstore.a $(MAIL_LIBS) $(IPC_LIBS) $(SQLITE_LIBS)
unit_answer_t_SOURCES = tests/unit/test_answer.c
unit_answer_t_LDADD = $(UNIT_LIBS) libqueue.a libsmtp.a libstore.a $(MAIL_LIBS) $(IPC_LIBS) $(SQLITE_LIBS)
endif
