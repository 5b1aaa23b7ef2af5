noinst_LIBRARIES += libqueue.a
libqueue_a_SOURCES = \
	%reldir%/queue.h \
	%reldir%/backoff.h %reldir%/backoff.c %reldir%/lanes.h %reldir%/lanes.c \
	%reldir%/db.h %reldir%/db_private.h %reldir%/db.c %reldir%/db_open.c %reldir%/db_sql.c \
	%reldir%/db_read.c %reldir%/db_lanes.c %reldir%/db_notes.c \
	%reldir%/spool.h %reldir%/spool.c %reldir%/syncer.h %reldir%/syncer.c \
	%reldir%/turn.c %reldir%/take.c %reldir%/gather.c %reldir%/order.c %reldir%/permit.c %reldir%/retry.c \
	%reldir%/attempt.c %reldir%/local.c \
	%reldir%/wait.c %reldir%/answer.h %reldir%/answer.c %reldir%/vacation.c \
	%reldir%/remote.c %reldir%/policies.c %reldir%/report.c %reldir%/notice.c %reldir%/words.c
facteurlibexec_PROGRAMS += queue
queue_SOURCES = %reldir%/queue.c
queue_LDADD = libqueue.a libsmtp.a libstore.a $(MAIL_LIBS) $(IPC_LIBS) $(SQLITE_LIBS)
