noinst_LIBRARIES += libqueue.a
libqueue_a_SOURCES = \
	%reldir%/queue.h \
	%reldir%/backoff.h %reldir%/backoff.c \
	%reldir%/db.h %reldir%/db.c \
	%reldir%/spool.h %reldir%/spool.c \
	%reldir%/turn.c %reldir%/take.c %reldir%/retry.c
facteurlibexec_PROGRAMS += queue
queue_SOURCES = %reldir%/queue.c
queue_LDADD = libqueue.a libstore.a $(IPC_LIBS) $(SQLITE_LIBS)
