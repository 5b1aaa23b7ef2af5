/* The table of kinds. */
#include "master/kinds.h"
#include "ipc/channel.h"

#include <sched.h>

static const struct {
    unsigned program;
    bool front, empty_root;
    unsigned asks; /* the programs it is linked to as the asking side */
} kinds[KINDS] = {
    [KIND_DIRECTORY] = {DIRECTORY, false, false, FILTER},
    [KIND_FILTER] = {FILTER, false, true, 0},
    [KIND_RELAY] = {RELAY, false, true, DIRECTORY},
    [KIND_QUEUE] = {QUEUE, false, false, DIRECTORY | DELIVER | RELAY},
    [KIND_DELIVER] = {DELIVER, false, false, DIRECTORY},
    [KIND_SESSION] = {SESSION, false, false, 0},
    [KIND_SMTP] = {SMTP, true, true, DIRECTORY | DELIVER | QUEUE | FILTER | RELAY},
    [KIND_ACCESS] = {ACCESS, true, true, DIRECTORY},
};

unsigned kind_program(enum kind k)
{
    return kinds[k].program;
}

const char *kind_name(enum kind k)
{
    return program_name(kinds[k].program);
}

bool kind_is_front(enum kind k)
{
    return kinds[k].front;
}

bool kind_has_empty_root(enum kind k)
{
    return kinds[k].empty_root;
}

bool kinds_linked(enum kind a, enum kind b)
{
    return (kinds[a].asks & kinds[b].program) || (kinds[b].asks & kinds[a].program);
}

static unsigned processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 64 ? 64 : (unsigned)n;
}

unsigned kind_count(enum kind k, const struct config *cfg)
{
    int64_t n = 1;
    if (k == KIND_DELIVER)
        n = cfg->deliver_processes;
    else if (k == KIND_SMTP)
        n = cfg->smtp_processes ? cfg->smtp_processes : processors();
    else if (k == KIND_ACCESS)
        n = cfg->access_processes ? cfg->access_processes : processors();
    return (unsigned)n;
}

enum kind kind_of_service(unsigned service)
{
    return service <= SERVICE_SUBMISSIONS || service == SERVICE_LMTP ? KIND_SMTP : KIND_ACCESS;
}
