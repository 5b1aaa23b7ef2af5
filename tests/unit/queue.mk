if HAVE_CUNIT
check_PROGRAMS += unit-queue.t unit-queue-db.t unit-queue-layout.t unit-queue-files.t unit-answer.t
TESTS += unit-queue.t unit-queue-db.t unit-queue-layout.t unit-queue-files.t unit-answer.t
QUEUE_FIXTURE = tests/unit/queue_fixture.c tests/unit/queue_fixture.h
QUEUE_UNIT_LIBS = $(UNIT_LIBS) libqueue.a libsmtp.a libstore.a $(MAIL_LIBS) $(IPC_LIBS) $(SQLITE_LIBS)
unit_queue_t_SOURCES = tests/unit/test_queue.c
unit_queue_t_LDADD = $(QUEUE_UNIT_LIBS)
unit_queue_db_t_SOURCES = tests/unit/test_queue_db.c $(QUEUE_FIXTURE)
unit_queue_db_t_LDADD = $(QUEUE_UNIT_LIBS)
unit_queue_layout_t_SOURCES = tests/unit/test_queue_layout.c $(QUEUE_FIXTURE)
unit_queue_layout_t_LDADD = $(QUEUE_UNIT_LIBS)
unit_queue_files_t_SOURCES = tests/unit/test_queue_files.c $(QUEUE_FIXTURE)
unit_queue_files_t_LDADD = $(QUEUE_UNIT_LIBS)
unit_answer_t_SOURCES = tests/unit/test_answer.c
unit_answer_t_LDADD = $(QUEUE_UNIT_LIBS)
endif
