noinst_LIBRARIES += libsession.a
libsession_a_SOURCES = \
	%reldir%/append_binary.c %reldir%/append_binary.h \
	%reldir%/cmd_append.c \
	%reldir%/cmd_basic.c \
	%reldir%/cmd_compress.c \
	%reldir%/cmd_copy.c \
	%reldir%/cmd_fetch.c \
	%reldir%/cmd_folders.c \
	%reldir%/cmd_idle.c \
	%reldir%/cmd_list.c \
	%reldir%/cmd_quota.c \
	%reldir%/cmd_search.c \
	%reldir%/cmd_select.c \
	%reldir%/cmd_status.c \
	%reldir%/cmd_store.c \
	%reldir%/commands.c \
	%reldir%/fetch_binary.c %reldir%/fetch_binary.h \
	%reldir%/fetch_more.c %reldir%/fetch_more.h \
	%reldir%/fetch_section.c %reldir%/fetch_section.h \
	%reldir%/imap.h \
	%reldir%/input.c \
	%reldir%/list_match.c %reldir%/list_match.h \
	%reldir%/loop.c \
	%reldir%/mailbox.c \
	%reldir%/message.c %reldir%/message.h \
	%reldir%/modseq.c \
	%reldir%/names.c %reldir%/names.h \
	%reldir%/output.c %reldir%/output.h \
	%reldir%/pop3.c %reldir%/pop3.h \
	%reldir%/pop3_commands.c \
	%reldir%/pop3_lock.c \
	%reldir%/pop3_send.c \
	%reldir%/pop3_update.c \
	%reldir%/reply.c \
	%reldir%/preview.c \
	%reldir%/rest.c %reldir%/resume.c \
	%reldir%/search_dates.c \
	%reldir%/search_keys.c %reldir%/search_keys.h \
	%reldir%/search_match.c %reldir%/search_match.h \
	%reldir%/search_order.h %reldir%/search_sort.c %reldir%/search_thread_answer.c \
	%reldir%/search_prepare.c \
	%reldir%/search_run.c %reldir%/search_run.h \
	%reldir%/search_text.c %reldir%/search_text.h \
	%reldir%/search_thread.c %reldir%/search_thread.h \
	%reldir%/session.h \
	%reldir%/squeeze.c %reldir%/squeeze.h \
	%reldir%/stop.c %reldir%/stop.h \
	%reldir%/thread_id.c %reldir%/thread_id.h \
	%reldir%/update.c

# A session's libraries in the order the linker needs.
SESSION_LIBS = libsession.a libimap.a libpop3.a libstore.a $(MAIL_LIBS) $(SQLITE_LIBS) \
	$(ZLIB_LIBS)

facteurlibexec_PROGRAMS += session
session_SOURCES = %reldir%/main.c %reldir%/parent.c %reldir%/parent.h
session_LDADD = $(SESSION_LIBS) $(IPC_LIBS)
