noinst_LIBRARIES += libipc.a
libipc_a_SOURCES = \
	%reldir%/messages.def %reldir%/message.h %reldir%/message.c \
	%reldir%/channel.h %reldir%/channel.c \
	%reldir%/rpc.h %reldir%/rpc.c \
	%reldir%/bundle.h %reldir%/bundle.c %reldir%/words.h %reldir%/words.c \
	%reldir%/counters.h %reldir%/counters.c \
	%reldir%/relayed.h %reldir%/relayed.c %reldir%/rates.h %reldir%/rates.c \
	%reldir%/replies.h %reldir%/replies.c \
	%reldir%/behind.h %reldir%/behind.c \
	%reldir%/front.h %reldir%/front.c \
	%reldir%/keys.h %reldir%/keys.c \
	%reldir%/program.h %reldir%/program.c
