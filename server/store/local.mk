noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	%reldir%/fs.h %reldir%/dotlock.h %reldir%/home.h %reldir%/name.h %reldir%/maildir.h \
	%reldir%/uidlist.h %reldir%/keywords.h %reldir%/subscriptions.h %reldir%/folders.h \
	%reldir%/folder.h %reldir%/mailbox.h %reldir%/quota.h %reldir%/deliver.h \
	%reldir%/fs.c
