noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	%reldir%/fs.h %reldir%/dotlock.h %reldir%/home.h %reldir%/name.h %reldir%/maildir.h \
	%reldir%/uidlist.h %reldir%/keywords.h %reldir%/subscriptions.h %reldir%/folders.h \
	%reldir%/folder.h %reldir%/mailbox.h %reldir%/quota.h %reldir%/deliver.h \
	%reldir%/mailbox_private.h %reldir%/fs.c %reldir%/dotlock.c %reldir%/name.c %reldir%/home.c \
	%reldir%/writer.c %reldir%/maildir.c %reldir%/uidlist.c %reldir%/uidlist_seek.c %reldir%/uidlist_write.c \
	%reldir%/keywords.c %reldir%/subscriptions.c %reldir%/folders.c %reldir%/folder.c \
	%reldir%/scan.c %reldir%/save.c %reldir%/mailbox.c %reldir%/mailbox_view.c \
	%reldir%/mailbox_ahead.c %reldir%/mailbox_doubt.c %reldir%/mailbox_object.c %reldir%/status.c \
	%reldir%/special_use.h %reldir%/special_use.c \
	%reldir%/mailbox_look.c %reldir%/mailbox_open.c %reldir%/mailbox_recall.c \
	%reldir%/mailbox_index.c %reldir%/mailbox_tell.c %reldir%/watch.c \
	%reldir%/watch.h %reldir%/index.c %reldir%/index_rows.c %reldir%/index_piece.c \
	%reldir%/index.h %reldir%/index_private.h \
	%reldir%/copy.c %reldir%/copy.h %reldir%/database.c %reldir%/database.h \
	%reldir%/quota.c %reldir%/deliver.c %reldir%/text.c %reldir%/text.h \
	%reldir%/text_grams.c %reldir%/text_grams.h %reldir%/text_known.c %reldir%/text_known.h

# For programs that open mailboxes.
STORE_LIBS = libstore.a $(BASE_LIBS) $(SQLITE_LIBS)
