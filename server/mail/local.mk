noinst_LIBRARIES += libmail.a
libmail_a_SOURCES = \
	%reldir%/address.c %reldir%/address.h \
	%reldir%/domain.c %reldir%/fold.c \
	%reldir%/header.c %reldir%/hostname.h %reldir%/hostname.c %reldir%/spots.h %reldir%/spots.c %reldir%/header.h \
	%reldir%/wire.c %reldir%/wire.h \
	%reldir%/lex.c %reldir%/lex.h \
	%reldir%/rfc5322.h %reldir%/addrs.c %reldir%/date.c %reldir%/msgid.c \
	%reldir%/mime.c %reldir%/mime_value.h %reldir%/mime_params.c %reldir%/mime_part.c %reldir%/mime.h \
	%reldir%/encoding.h %reldir%/base64.c %reldir%/quoted.c \
	%reldir%/charset.c %reldir%/charset_table.c %reldir%/charset_table.h %reldir%/charset_state.c \
	%reldir%/words.c \
	%reldir%/subject.c %reldir%/subject.h %reldir%/list.c %reldir%/list.h \
	%reldir%/envelope.c %reldir%/imap_text.c %reldir%/imap_text.h
