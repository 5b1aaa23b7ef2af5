/* A session's view is opened and closed. */
#include "store/mailbox_private.h"
#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

#define LIST_LARGE 65536 /* bytes of a uidlist, some 800 messages: worth opening the index */
#define REST_FROM 5000   /* messages from which a wait of a clock tick is worth it */

static struct store_mailbox *view_new(struct store_folder *f, bool read_only, struct store_index *index)
{
    struct store_mailbox *mb = MEM_NEW(struct store_mailbox);
    mb->folder = f;
    mb->read_only = read_only;
    mb->index = index;
    mb->watch = (struct store_watch)STORE_WATCH_NONE;
    f->watch = &mb->watch;
    return mb;
}

static int open_folder(int root_fd, struct str name, bool read_only, struct store_index *index,
                       struct store_mailbox **out, struct err *e)
{
    struct store_folder *f;
    *out = NULL;
    int r = store_folder_open(root_fd, name, &f, e);
    if (r == 0)
        *out = view_new(f, read_only, index);
    return r;
}

static void watch(struct store_mailbox *mb)
{
    store_watch_open(&mb->watch, mb->folder->cur_fd, mb->folder->new_fd,
                     mb->index ? store_index_take_watch(mb->index) : -1);
}

static int give_up(struct store_mailbox **out)
{
    store_mailbox_close(*out);
    *out = NULL;
    return -1;
}

static int begin(struct store_mailbox **out, struct err *e)
{
    struct store_mailbox *mb = *out;
    if (mailbox_look(mb, e) != 0)
        return give_up(out);
    if (!mb->read_only)
        (void)store_maildir_clean(mb->folder->dir_fd, store_folder_now(mb->folder) / 1000000000, NULL);
    mailbox_tell(mb, true);
    for (size_t i = 0; i < mb->count; i++)
        mb->msg[i].news = false;
    return 0;
}

int store_mailbox_open(int root_fd, struct str name, bool read_only, struct store_index *index,
                       struct store_mailbox **out, struct err *e)
{
    int r = open_folder(root_fd, name, read_only, index, out, e);
    if (r != 0)
        return r;
    watch(*out);
    return begin(out, e);
}

int store_mailbox_open_once(int root_fd, struct str name, struct store_index *index,
                            struct store_mailbox **out, struct err *e)
{
    struct store_stamp now = {0};
    int r = open_folder(root_fd, name, false, index, out, e);
    if (r != 0)
        return r;
    if (store_folder_stamp((*out)->folder, &now, NULL) != 0 || now.list_size < LIST_LARGE)
        (*out)->index = NULL;
    return begin(out, e);
}

int mailbox_look_into(struct store_folder *f, bool watched, struct store_index *index,
                      struct store_mailbox **out, struct err *e)
{
    *out = view_new(f, true, index);
    if (watched)
        watch(*out);
    return begin(out, e);
}

int store_mailbox_resume(int root_fd, struct str name, bool read_only, struct store_index *index,
                         struct str known, struct store_mailbox **out, struct err *e)
{
    int r = open_folder(root_fd, name, read_only, index, out, e);
    if (r != 0)
        return r;
    watch(*out);
    return mailbox_resume(*out, known, e) == 0 ? 0 : give_up(out);
}

/* So that the next session can believe the stamp, which is younger than a clock tick. */
static void let_stamp_settle(struct store_mailbox *mb)
{
    struct store_index_folder row = {.id = 1, .stamp = mb->stamp, .taken_ns = mb->taken_ns};
    if (!mb->index || !mb->folder_id || mb->watch.fd < 0 || mb->read_only || mb->count < REST_FROM ||
        mb->taken_ns == 0 || store_index_believable(&row))
        return;
    nanosleep(&(struct timespec){.tv_nsec = MAILBOX_TICK_MS * 1000000}, NULL);
    store_mailbox_settle(mb, true);
}

void store_mailbox_close(struct store_mailbox *mb)
{
    if (!mb)
        return;
    mailbox_note_freed(mb);
    if (mb->loaded && store_mailbox_unsettled(mb))
        store_mailbox_settle(mb, true);
    if (mb->loaded)
        let_stamp_settle(mb);
    if (mb->index)
        store_index_leave_watch(mb->index, store_watch_leave(&mb->watch));
    else
        store_watch_close(&mb->watch);
    store_folder_close(mb->folder);
    mailbox_forget_memo(mb);
    mailbox_believe(mb);
    free(mb->msg);
    free(mb->seqs);
    free(mb->uids);
    free(mb->flagged);
    buf_free(&mb->names);
    buf_free(&mb->lost);
    buf_free(&mb->told_keywords);
    free(mb);
}
